#include "connection/row_source.hpp"

#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"

#include <stdexcept>

namespace pgcoro::detail
{

asio::awaitable<void> row_source::open()
{
    auto& host = host_.get();
    auto& s = host.on().impl();
    co_await s.make_ready(sql_);
    if (!prologue_made_) {
        span_ = s.span(span_of::statement, sql_);
        commented_ = s.comment(sql_, span_.get());
    }
    bool prepares = s.statements.enabled() && commented_.empty();
    auto* known = prepares ? s.find_prepared(sql_, args_) : nullptr;
    if (!known) s.check(sql_, args_.size());
    if (!prologue_made_) prologue_ = host.begin(sql_);
    prologue_.after = {}; // the next statement will do: here it would only come behind the rows
    prologue_made_ = true;

    request r;
    r.sql = sql_;
    r.args = &args_;
    r.with = &prologue_;
    r.sent_as = commented_;
    idle_ = s.is_idle() && prologue_.before.empty();
    begun_ = clock::now();
    error_.reset();
    operation_.emplace(s);
    session_ = &s;
    s.holder = this;
    state_ = state::under_way;
    // Always pipelined: libpq leaves the row mode when it goes on to the next request of a pipeline. Else it would keep it
    // for the first statement of the next one.
    s.send(r, known, true);
    s.trip.want_rows();
    s.socket->flush();
}

void row_source::abandon() noexcept
{
    if (state_ == state::under_way) {
        state_ = state::taken_away;
        if (session_) session_->note_left(sql_);
    }
    if (session_) session_->holder = nullptr;
    session_ = nullptr;
    operation_.reset();
}

void row_source::answered(result_ptr got)
{
    auto n = static_cast<std::uint64_t>(PQntuples(got.get()));
    bool only_columns = n == 0 && count_ == 0 && PQresultStatus(got.get()) == PGRES_TUPLES_OK;
    count_ += n;
    if (session_->options->observer) bytes_ += bytes_of(got.get());
    if (n == 0 && !only_columns) return;
    rows_ = std::move(got);
    pause = true;
}

void row_source::failed(round_trip::event, result_ptr why, bool is_known)
{
    if (error_) return;
    error_ = std::move(why);
    error_is_known_ = is_known;
}

// All answers are there, or none will come.
void row_source::finish(bool in_time)
{
    auto& s = *session_;
    operation_->finish();
    if (s.options->observer)
        s.report({.sql = sql_,
                  .error = error_.get(),
                  .begun = begun_,
                  .rows = count_,
                  .bytes_sent = args_.bytes(),
                  .bytes_received = bytes_,
                  .prepared_now = !s.preparing.empty()});
    state_ = state::over;
    abandon();
    if (misused_copy_)
        throw std::logic_error("pgcoro: COPY … FROM STDIN and TO STDOUT go through copy_in and copy_out, not "
                               "through a stream; the connection is given up");
    if (!in_time) s.fail_overdue(sql_);
    if (!error_ && !s.is_broken()) {
        if (span_) {
            span_->event().rows = count_;
            span_->end();
        }
        return;
    }
    bool stale = s.forget_stale_statement(error_.get(), error_is_known_, sql_);
    if (stale && idle_ && !again_ && count_ == 0) {
        again_ = true; // prepared anew, once
        state_ = state::not_begun;
        return;
    }
    s.fail(error_.get(), sql_);
}

asio::awaitable<result_ptr> row_source::take_next()
{
    while (state_ != state::over) {
        if (state_ == state::taken_away) host_.throw_not_lent();
        if (state_ == state::not_begun) co_await open();
        bool in_time = true;
        if (!session_->pumped(*this))
            in_time = co_await session_->pump(*this, {.deadline = prologue_.deadline, .renewed = true});
        if (rows_) co_return std::move(rows_);
        finish(in_time);
    }
    co_return nullptr;
}

asio::awaitable<result_ptr> row_source::next()
{
    std::exception_ptr failure;
    bool begun = state_ != state::taken_away;
    try {
        auto answer = co_await take_next();
        co_return answer;
    } catch (...) {
        failure = std::current_exception();
    }
    if (span_) span_->failed(failure);
    if (auto* host = host_.if_lent(); host && begun && prologue_made_) failure = host->failed(failure, sql_);
    abandon();
    if (begun) state_ = state::over;
    std::rethrow_exception(failure);
}

void row_source_deleter::operator()(row_source* s) const noexcept { delete s; }

row_source_ptr make_row_source(statement_host& host, std::string_view sql, params args, std::size_t chunk)
{
    if (chunk == 0) throw std::invalid_argument("pgcoro: stream_options::chunk is 0: it must be 1 or more");
    return row_source_ptr(new row_source(host, sql, std::move(args), chunk));
}

asio::awaitable<result> next_rows(row_source& from)
{
    auto rows = co_await from.next();
    co_return result(rows.release());
}

} // namespace pgcoro::detail
