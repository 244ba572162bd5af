#include "connection/row_source.hpp"

#include "connection/diagnostics.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro::detail
{

asio::awaitable<void> row_source::open()
{
    auto& s = host_.on();
    co_await s.make_ready(sql_);
    if (!begun_once_) {
        span_ = s.span(span_of::statement, sql_);
        commented_ = s.comment(sql_, span_.get());
    }
    bool prepares = s.statements_.enabled() && commented_.empty();
    auto* known = prepares ? s.statements_.find(sql_, args_) : nullptr;
    if (!known) s.check(sql_, args_.size());
    if (!begun_once_) prologue_ = host_.begin(sql_);
    prologue_.after = {}; // the next statement will do: here it would only come behind the rows
    begun_once_ = true;

    request r;
    r.sql = sql_;
    r.args = &args_;
    r.with = &prologue_;
    r.sent_as = commented_;
    idle_ = PQtransactionStatus(s.pg()) == PQTRANS_IDLE && prologue_.before.empty();
    begun_ = std::chrono::steady_clock::now();
    exchange_ = {};
    singly_ = false;
    operation_.emplace(s, session::work::statement, std::min(s.response_deadline(), prologue_.deadline));
    session_ = &s;
    s.holder_ = this;
    s.send(r, known, exchange_);
    want_rows_singly();
    s.wire_->flush();
}

// libpq wants to be told when the statement's turn comes, and before it has seen any of the answer.
void row_source::want_rows_singly()
{
    if (singly_ || exchange_.done() || exchange_.pieces[exchange_.at] != session::piece::main) return;
    singly_ = true;
#ifdef LIBPQ_HAS_CHUNK_MODE
    session_->need(PQsetChunkedRowsMode(session_->pg(), static_cast<int>(chunk_)), sql_);
#else
    session_->need(PQsetSingleRowMode(session_->pg()), sql_);
#endif
}

void row_source::abandon() noexcept
{
    over_ = true;
    if (session_) session_->holder_ = nullptr;
    session_ = nullptr;
    operation_.reset();
}

// All answers are there.
void row_source::finish()
{
    auto& s = *session_;
    bool in_time = operation_->finish();
    s.settle(exchange_);
    if (s.options_->observer)
        s.report({.sql = sql_,
                  .error = exchange_.error.get(),
                  .begun = begun_,
                  .rows = rows_,
                  .bytes_sent = args_.bytes(),
                  .bytes_received = bytes_,
                  .prepared_now = !exchange_.prepares.empty()});
    abandon();
    if (!in_time) s.fail_overdue(sql_);
    if (!exchange_.error && !s.broken()) {
        if (span_) {
            span_->event().rows = rows_;
            span_->end();
        }
        return;
    }
    bool lost = s.forget_lost_statement(exchange_, sql_);
    if (lost && idle_ && !again_ && rows_ == 0) {
        again_ = true; // prepared anew, once
        over_ = false;
        return;
    }
    s.fail(exchange_.error.get(), sql_);
}

asio::awaitable<result_ptr> row_source::take_next()
{
    auto executor = co_await asio::this_coro::executor;
    while (!over_) {
        if (!session_) co_await open();
        auto& s = *session_;
        auto& w = *s.wire_;
        if (w.busy()) {
            w.bind(executor);
            operation_->resume(std::min(s.response_deadline(), prologue_.deadline));
            while (w.busy()) co_await w.step();
        }
        // While the caller looks at the rows, the server's silence is no fault.
        if (!operation_->pause()) {
            abandon();
            s.fail_overdue(sql_);
        }
        result_ptr answer(PQgetResult(s.pg()));
        bool gone = !answer && w.broken();
        auto what = gone ? session::taken::nothing : s.take(exchange_, answer);
        if (what == session::taken::main) {
            auto n = static_cast<std::uint64_t>(PQntuples(answer.get()));
            bool only_columns = PQresultStatus(answer.get()) == PGRES_TUPLES_OK && rows_ == 0;
            rows_ += n;
            if (s.options_->observer) bytes_ += bytes_of(answer.get());
            if (n > 0 || only_columns) co_return answer;
            if (drops_statements(answer.get())) s.statements_.clear();
            continue;
        }
        bool fatal = exchange_.error && is_fatal(exchange_.error.get());
        if (gone || fatal || w.broken() || exchange_.done())
            finish();
        else if (!exchange_.error) // behind an error nothing more is run
            want_rows_singly();
    }
    co_return nullptr;
}

asio::awaitable<result_ptr> row_source::next()
{
    std::exception_ptr failure;
    try {
        auto answer = co_await take_next();
        co_return answer;
    } catch (...) {
        failure = std::current_exception();
    }
    if (span_) span_->failed(failure);
    if (session_ || begun_once_) failure = host_.failed(failure, sql_);
    abandon();
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
