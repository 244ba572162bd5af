#include "connection/round_trip.hpp"

namespace pgcoro::detail
{
namespace
{

// Enough for the two that libpq may return around an error of the sync itself.
constexpr std::uint8_t most_ends_in_a_row = 3;

round_trip::event of_success(round_trip::request what) noexcept
{
    switch (what) {
    case round_trip::request::prepare:
        return round_trip::event::prepared;
    case round_trip::request::close:
        return round_trip::event::closed;
    case round_trip::request::statement:
    case round_trip::request::script:
        return round_trip::event::answer;
    case round_trip::request::trailer:
        return round_trip::event::trailer;
    case round_trip::request::commit:
        return round_trip::event::committed;
    case round_trip::request::setup:
    case round_trip::request::sync:
    case round_trip::request::sync_in_transaction:
        break;
    }
    return round_trip::event::nothing;
}

round_trip::event of_failure(round_trip::request what) noexcept
{
    switch (what) {
    case round_trip::request::prepare:
        return round_trip::event::not_prepared;
    case round_trip::request::close:
        return round_trip::event::not_closed;
    case round_trip::request::sync:
        return round_trip::event::commit_failed;
    default:
        return round_trip::event::error;
    }
}

round_trip::event of_skipping(round_trip::request what) noexcept
{
    switch (what) {
    case round_trip::request::prepare:
        return round_trip::event::not_prepared;
    case round_trip::request::close:
        return round_trip::event::not_closed;
    case round_trip::request::statement:
        return round_trip::event::skipped;
    default:
        return round_trip::event::nothing;
    }
}

bool ends_series(round_trip::request what) noexcept
{
    return what == round_trip::request::sync || what == round_trip::request::sync_in_transaction;
}

} // namespace

void round_trip::begin(bool pipelined) noexcept
{
    expected_.clear();
    at_ = 0;
    pipelined_ = pipelined;
    queue_open_ = unsynced_ = abandoned_ = lost_ = false;
    row_mode_wanted_ = row_mode_due_ = series_failed_ = false;
    copy_expected_ = copy_dry_ = false;
    ends_in_a_row_ = 0;
    copying_ = copying::nothing;
}

void round_trip::expect(request what, bool is_known)
{
    constexpr std::size_t many = 4096;
    if (at_ >= many) { // a batch of any length needs the memory of what is on its way
        expected_.erase(expected_.begin(), expected_.begin() + static_cast<std::ptrdiff_t>(at_));
        at_ = 0;
    }
    expected_.push_back({what, is_known});
    if (pipelined_) unsynced_ = !ends_series(what);
    if (at_ + 1 == expected_.size()) await_row_mode();
}

void round_trip::await_row_mode() noexcept
{
    row_mode_due_ = row_mode_wanted_ && !series_failed_ && at_ < expected_.size() &&
                    expected_[at_].what == request::statement;
}

void round_trip::abandon() noexcept
{
    abandoned_ = true;
    queue_open_ = false;
}

round_trip::step round_trip::next(io now) const noexcept
{
    if (is_finished()) return step::finished;
    auto wait = now.flushing ? step::read_or_write : step::read;
    switch (copying_) {
    case copying::in:
        if (now.broken) return step::take;
        if (is_unwanted_copy()) return step::refuse_copy;
        return now.flushing ? step::read_or_write : step::callers_turn;
    case copying::out:
        if (!copy_dry_) return step::take_copied;
        return now.broken ? step::take : wait;
    case copying::nothing:
        break;
    }
    if (queue_open_ && !now.flushing && !now.broken) return step::queue;
    // That libpq is not busy says nothing where no answer is due: it is idle then.
    if (at_ < expected_.size()) return now.broken || !now.busy ? step::take : wait;
    return now.broken ? step::take : step::read_or_write;
}

round_trip::event round_trip::lose() noexcept
{
    lost_ = true;
    queue_open_ = false;
    copying_ = copying::nothing;
    return event::ended;
}

round_trip::event round_trip::on(reply what)
{
    if (what == reply::lost) return lose();
    if (at_ == expected_.size()) return lose(); // an answer to nothing: libpq and this disagree
    auto current = expected_[at_].what;
    if (what == reply::end) return on_end(current);
    ends_in_a_row_ = 0;
    switch (what) {
    case reply::fatal:
        lose();
        return of_failure(current);
    case reply::failed:
        copying_ = copying::nothing;
        series_failed_ = pipelined_;
        return of_failure(current);
    case reply::skipped:
        return of_skipping(current);
    case reply::done:
        return of_success(current);
    case reply::rows:
        return event::rows;
    case reply::synced:
        if (!ends_series(current)) return lose();
        ++at_;
        series_failed_ = false;
        await_row_mode();
        return current == request::sync ? event::synced : event::nothing;
    case reply::copy_in:
        return on_copy(current, copying::in);
    case reply::copy_out:
        return on_copy(current, copying::out);
    case reply::end:
    case reply::lost:
        break;
    }
    return event::nothing;
}

round_trip::event round_trip::on_copy(request current, copying direction) noexcept
{
    if (pipelined_ || (current != request::script && current != request::statement)) {
        lose();
        return event::misused_copy;
    }
    copying_ = direction;
    copy_dry_ = false;
    return direction == copying::in ? event::copy_in : event::copy_out;
}

round_trip::event round_trip::on_end(request current) noexcept
{
    if (ends_series(current)) // which ends with its own reply only
        return ++ends_in_a_row_ > most_ends_in_a_row ? lose() : event::nothing;
    ends_in_a_row_ = 0;
    ++at_;
    await_row_mode();
    return current == request::statement || current == request::script ? event::statement_end : event::nothing;
}

} // namespace pgcoro::detail
