#include "multiplexer/lane.hpp"

#include "connection/diagnostics.hpp"
#include "resilience/is_a.hpp"
#include "resilience/text.hpp"

namespace pgcoro::detail
{

namespace
{

bool is_lost_statement(const std::exception_ptr& why)
{
    return is_a<server_error>(
        why, [](auto& e) { return detail::is_lost_statement(e.sqlstate(), e.diag().routine); });
}

} // namespace

void lane::begin()
{
    ++batches;
    at_ = synced_ = 0;
    made_.clear();
    begun_ = clock::now();
}

bool lane::next(statement& made)
{
    while (at_ < calls.size()) {
        auto& c = *calls[at_++];
        if (c.settled()) continue; // nobody waits for it any more
        c.shares = c.read && !c.alone && c.known->company == company::shared;
        c.answered = false;
        c.sent = true;
        made_.push_back(&c);
        made = {c.known->sql, &c.args, !c.shares};
        return true;
    }
    return false;
}

void lane::answered(std::size_t i, result got)
{
    auto& c = *made_[i];
    if (calls.size() == 1) learn(c, got.command_tag());
    c.got = std::move(got);
    c.answered = true;
    if (c.shares && c.settle()) c.tell();
}

void lane::failed(std::size_t i, std::exception_ptr why)
{
    auto& c = *made_[i];
    c.answered = false;
    if (!c.prepared_anew && is_lost_statement(why))
        c.prepared_anew = c.alone = true; // it was not run, and is to be
    else
        c.fail(std::move(why));
}

// An own transaction has taken effect only now.
void lane::synced(std::size_t n)
{
    for (; synced_ < n; ++synced_) {
        auto& c = *made_[synced_];
        if (c.answered && c.settle()) c.tell();
    }
}

void lane::learn(call& c, std::string_view tag) const
{
    c.known->company = clock::now() - begun_ > slow_after_ ? company::apart : company_of(tag);
}

void lane::end(const std::exception_ptr& lost)
{
    if (lost) {
        for (auto& c : calls) {
            if (c->settled()) continue;
            bool again = c->read || !c->sent;
            if (!again || ++c->lost == most_losses)
                c->fail(lost_error(lost, c->known->sql, c->read || !c->sent, c->lost));
        }
        return;
    }
    for (auto* c : made_)
        if (!c->settled()) c->alone = true;
    // One of them held up the others; which one shows when each is alone.
    if (calls.size() > 1 && clock::now() - begun_ > slow_after_)
        for (auto& c : calls) c->known->company = company::unknown;
}

std::exception_ptr lost_error(const std::exception_ptr& lost, std::string_view sql, bool read, int times)
{
    try {
        std::rethrow_exception(lost);
    } catch (const connection_error& e) {
        auto why = first_line(lost);
        if (!read)
            return std::make_exception_ptr(commit_unknown(
                "the connection was lost before the statement was answered: it may or may not have been done "
                "(" +
                    why + ")",
                e.diag(), sql));
        if (times > 1) why += " (" + std::to_string(times) + " connections in a row)";
        return std::make_exception_ptr(connection_error(e.why(), why, e.diag(), sql));
    } catch (...) {
        return lost;
    }
}

} // namespace pgcoro::detail
