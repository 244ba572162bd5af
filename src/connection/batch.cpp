#include <pgcoro/connection/batch.hpp>

#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
#include "connection/exchange.hpp"
#include "connection/operation.hpp"

#include <algorithm>
#include <deque>
#include <map>

namespace pgcoro::detail
{

// One try at a batch: sends as long as the socket takes it, reads as long as there is something, and waits
// only when neither goes on. What the server has not been sent yet is not made yet either, so that a batch of
// any length needs the memory of what is on its way.
class batch_run
{
public:
    batch_run(session& s, batch& b, const prologue& with, statement_host& host)
        : session_(s)
        , batch_(b)
        , with_(with)
        , host_(host)
        , begun_(std::chrono::steady_clock::now())
        , looked_(coarse_now())
        , operation_(s, session::work::statement, deadline())
    {}

    asio::awaitable<void> run()
    {
        begin();
        auto& w = *session_.wire_;
        while (!ended_ || !exchange_.done()) {
            if (!ended_ && !w.flushing()) send_some();
            if (!w.answer_ready()) {
                if (!ended_ && !w.flushing()) continue;
                co_await w.step();
                it_works();
                continue;
            }
            result_ptr answer(PQgetResult(session_.pg()));
            if (!answer && w.broken()) break;
            take(std::move(answer));
            if (w.broken() || fatal_) break;
        }
        bool in_time = operation_.finish();
        session_.sync_owed_ = false;
        session_.settle(exchange_);
        if (drops_statements_) session_.statements_.clear();
        if (!in_time) session_.fail_overdue(current_sql());
        if (session_.broken()) session_.fail(exchange_.error.get(), current_sql());
        if (exchange_.error && !failure_) { // for instance a deferred constraint
            if (session_.forget_lost_statement(exchange_, with_.after))
                session_.forget_companions(exchange_, with_);
            failure_ =
                error_of(exchange_.error.get(), {}, "at the end of the pipeline, when it was committed");
        }
        if (exchange_.rolled_back && !failure_) throw_rolled_back();
    }

    // The first error, where it does not go on after one.
    const std::exception_ptr& failure() const noexcept { return failure_; }
    // It was that the server has not, or cannot use, a prepared statement any more.
    bool lost_statement() const noexcept { return lost_statement_; }

private:
    using piece = session::piece;

    session::time_point deadline() const { return std::min(session_.response_deadline(), with_.deadline); }

    // An answer came, so the server has its time anew. Not told each time, because it costs a timer.
    void it_works()
    {
        constexpr std::chrono::milliseconds often_enough{500};
        auto now = coarse_now();
        if (now - looked_ < often_enough) return;
        looked_ = now;
        operation_.resume(deadline());
    }

    void begin()
    {
        session_.need(PQenterPipelineMode(session_.pg()), {});
        session_.sync_owed_ = true;
        session_.send_before(with_, exchange_);
    }

    void sync()
    {
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
        session_.need(PQsendPipelineSync(session_.pg()), current_sql()); // flushed with what follows
#else
        session_.need(PQpipelineSync(session_.pg()), current_sql());
#endif
        exchange_.pieces.push_back(piece::sync);
        ++session_.syncs_due_;
        session_.sync_owed_ = unsynced_ = false;
    }

    void send_some()
    {
        constexpr std::size_t portion = 32 * 1024; // what a socket's buffer usually takes
        forget_answered();
        for (std::size_t bytes = 0; bytes < portion && !ended_;) {
            batch::statement next;
            if (failure_ || !batch_.next(next)) {
                end();
                break;
            }
            if (next.alone && unsynced_) sync();
            auto& args = next.args ? *next.args : no_params;
            session_.sync_owed_ = unsynced_ = true;
            session_.send_statement(next.sql, args, piece::main, exchange_);
            on_their_way_.push_back(next.sql);
            bytes += 64 + next.sql.size() + args.bytes();
            if (next.alone) sync();
        }
        session_.wire_->flush();
    }

    void end()
    {
        ended_ = true;
        session_.send_behind(with_, exchange_);
        if (unsynced_ || !batch_.goes_on() || !with_.after.empty() || with_.commit) sync();
    }

    void take(result_ptr answer)
    {
        auto current = exchange_.pieces[exchange_.at];
        bool ends = current == piece::main && !answer;
        if (answer && PQresultStatus(answer.get()) == PGRES_PIPELINE_ABORTED) not_run_ = true;
        bool synced = answer && PQresultStatus(answer.get()) == PGRES_PIPELINE_SYNC;
        bool error_before = exchange_.error != nullptr;
        auto what = session_.take(exchange_, answer);
        fatal_ = exchange_.error && is_fatal(exchange_.error.get());
        if (fatal_) return;
        if (what == session::taken::main) {
            if (drops_statements(answer.get())) drops_statements_ = true;
            rows_ = rows_of(answer.get());
            if (session_.options_->observer) bytes_ = bytes_of(answer.get());
            batch_.answered(done_, result(answer.release()));
        } else if (what == session::taken::after) {
            host_.told(first_value(answer.get()));
        }
        if (current == piece::prepare && exchange_.error && !error_before) preparation_failed_ = true;
        if (ends) statement_ended();
        if (synced && exchange_.error && batch_.goes_on() && done_ > 0) // its commit failed
            tell_failed(done_ - 1, error_of(exchange_.error.get(), last_sql_, batch_.place(done_ - 1)));
        if (synced) batch_.synced(done_);
    }

    void statement_ended()
    {
        last_sql_ = current_sql();
        bool ran = !std::exchange(not_run_, false) || exchange_.error;
        if (session_.options_->observer && !failure_ && ran)
            session_.report({.sql = last_sql_,
                             .error = exchange_.error.get(),
                             .begun = begun_,
                             .rows = rows_,
                             .bytes_received = bytes_});
        rows_ = bytes_ = 0;
        if (exchange_.error && !failure_) {
            auto why = error_of(exchange_.error.get(), last_sql_, batch_.place(done_));
            lost_statement_ = session_.forget_lost_statement(exchange_, last_sql_);
            if (lost_statement_) session_.forget_companions(exchange_, with_);
            // It may have been sent more often before its preparation was found to fail.
            if (std::exchange(preparation_failed_, false))
                unprepared_[last_sql_] = why;
            else if (auto it = unprepared_.find(last_sql_); lost_statement_ && it != unprepared_.end())
                why = it->second;
            if (batch_.goes_on())
                tell_failed(done_, why);
            else
                failure_ = why;
        }
        on_their_way_.pop_front();
        ++done_;
    }

    void tell_failed(std::size_t i, std::exception_ptr why)
    {
        exchange_.error.reset();
        batch_.failed(i, host_.failed(why, last_sql_));
    }

    std::exception_ptr error_of(const PGresult* error, std::string_view sql, const std::string& where) const
    {
        try {
            throw_result_error(error, session_.pg(), session_.backend_pid(), sql);
        } catch (pgcoro::error& e) {
            if (!where.empty()) e.add_note(where);
            return std::current_exception();
        }
    }

    std::string_view current_sql() const
    {
        return on_their_way_.empty() ? std::string_view() : on_their_way_.front();
    }

    void forget_answered()
    {
        constexpr std::size_t many = 4096;
        if (exchange_.at < many) return;
        auto first = exchange_.pieces.begin();
        exchange_.pieces.erase(first, first + static_cast<std::ptrdiff_t>(exchange_.at));
        exchange_.at = 0;
    }

    session& session_;
    batch& batch_;
    const prologue& with_;
    statement_host& host_;
    session::exchange exchange_;
    std::deque<std::string_view> on_their_way_;
    std::string_view last_sql_;
    std::map<std::string_view, std::exception_ptr> unprepared_;
    std::exception_ptr failure_;
    session::time_point begun_;
    session::time_point looked_;
    std::size_t done_ = 0;
    std::uint64_t rows_ = 0;
    std::uint64_t bytes_ = 0;
    bool ended_ = false;
    bool fatal_ = false;
    bool lost_statement_ = false;
    bool preparation_failed_ = false;
    bool drops_statements_ = false;
    bool not_run_ = false;  // it stood behind one that failed
    bool unsynced_ = false; // statements were sent since the last Sync
    session::operation operation_;
};

asio::awaitable<void> run_batch(statement_host& host, batch& b)
{
    std::exception_ptr failure;
    open_span_ptr span;
    try {
        auto& s = host.on();
        span = s.span(span_of::pipeline);
        co_await s.make_ready({});
        auto with = host.begin({});
        bool idle = s.transaction_status() == PQTRANS_IDLE && with.before.empty();
        for (bool again = false;; again = true) {
            batch_run once(s, b, with, host);
            co_await once.run();
            failure = once.failure();
            if (!failure) {
                if (span) span->end();
                co_return;
            }
            bool anew = once.lost_statement() && idle && !again; // prepared anew, once
            if (!anew || !b.rewind()) break;
            s.statements_.erase_all(); // where one is gone, the others of the batch may be, too
        }
    } catch (...) {
        failure = std::current_exception();
    }
    if (span) span->failed(failure);
    std::rethrow_exception(host.failed(failure, {}));
}

} // namespace pgcoro::detail
