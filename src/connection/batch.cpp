#include <pgcoro/connection/batch.hpp>

#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
#include "connection/operation.hpp"
#include "connection/settings_transaction.hpp"

#include <deque>
#include <map>
#include <optional>

namespace pgcoro::detail
{

// Runs a batch once. Statements are created when there is room to send them, so that a batch of any length needs only the
// memory of the statements in transit.
class batch_run final : private reply_handler
{
public:
    batch_run(session_impl& s, batch& b, const prologue& with, statement_host& host)
        : session_(s)
        , batch_(b)
        , with_(with)
        , host_(host)
        , begun_(clock::now())
    {}

    asio::awaitable<void> run()
    {
        operation op(session_);
        session_.begin(true);
        session_.trip.open_queue();
        bool in_time = co_await session_.pump(*this, {.deadline = with_.deadline, .renewed = true});
        op.finish();
        if (misused_copy_)
            throw std::logic_error("pgcoro: COPY … FROM STDIN and TO STDOUT go through copy_in and copy_out, not "
                                   "through a pipeline; the connection is given up");
        if (!in_time) session_.fail_overdue(current_sql());
        if (session_.is_broken()) session_.fail(error_.get(), current_sql());
        if (rolled_back_ && !failure_) throw_rolled_back();
    }

    // The first error, where it does not go on after one.
    const std::exception_ptr& failure() const noexcept { return failure_; }
    // The error was a prepared statement that the server no longer has, or can no longer use.
    bool lost_statement() const noexcept { return lost_statement_; }

private:
    bool queue() override
    {
        constexpr std::size_t portion = 32 * 1024; // what a socket's buffer usually takes
        for (std::size_t bytes = 0; bytes < portion;) {
            batch::statement next;
            bool more = !failure_ && batch_.next(next);
            auto& args = next.args ? *next.args : no_params;
            if (!std::exchange(begun_sending_, true)) {
                if (more) session_.send_closes(next.sql, args);
                session_.send_before(with_);
            }
            if (!more) {
                send_end();
                return false;
            }
            if (next.alone && session_.trip.owes_sync()) session_.send_sync();
            on_their_way_.push_back({next.sql, next.settings});
            bytes += 64 + next.sql.size() + args.bytes();
            if (next.settings) {
                send_transaction(next.sql, args, *next.settings);
                continue;
            }
            session_.send_statement(next.sql, args, round_trip::request::statement);
            if (next.alone) session_.send_sync();
        }
        return true;
    }

    void send_transaction(std::string_view sql, const params& args, const local_settings& settings)
    {
        settings_transaction around(session_.settings_of_transaction, settings);
        session_.send_before(around.get());
        session_.send_statement(sql, args, round_trip::request::statement);
        session_.send_behind(around.get());
        session_.send_sync();
    }

    void send_end()
    {
        session_.send_behind(with_);
        if (session_.trip.owes_sync() || !batch_.goes_on()) session_.send_sync();
    }

    void answered(result_ptr got) override
    {
        rows_ = rows_of(got.get());
        if (session_.options->observer) bytes_ = bytes_of(got.get());
        batch_.answered(done_, result(got.release()));
    }
    void trailer(result_ptr text) override { host_.told(first_value(text.get())); }
    void committed(bool rolled_back) override
    {
        if (!batch_.goes_on())
            rolled_back_ = rolled_back;
        else if (rolled_back && !last_failed_)
            tell_rolled_back();
    }
    void skipped() override { not_run_ = true; }
    void copy_misused() override { misused_copy_ = true; }

    void failed(round_trip::event what, result_ptr why, bool is_known) override
    {
        if (error_) return;
        error_ = std::move(why);
        error_is_known_ = is_known;
        if (what == round_trip::event::not_prepared) preparation_failed_ = true;
    }

    void statement_ended() override
    {
        last_ = on_their_way_.front();
        auto last_sql = last_.sql;
        last_failed_ = false;
        bool ran = !std::exchange(not_run_, false) || error_;
        if (session_.options->observer && !failure_ && ran)
            session_.report({.sql = last_sql,
                             .error = error_.get(),
                             .begun = begun_,
                             .rows = rows_,
                             .bytes_received = bytes_});
        rows_ = bytes_ = 0;
        if (error_ && !failure_ && !session_.trip.lost()) {
            auto why = error_of(last_sql, batch_.place(done_));
            lost_statement_ = session_.forget_stale_statement(error_.get(), error_is_known_, last_sql);
            if (lost_statement_) forget_companions();
            // It may have been sent more often before its preparation was found to fail.
            if (std::exchange(preparation_failed_, false))
                unprepared_[last_sql] = why;
            else if (auto it = unprepared_.find(last_sql); lost_statement_ && it != unprepared_.end())
                why = it->second;
            if (batch_.goes_on())
                tell_failed(done_, why, lost_statement_);
            else
                failure_ = why;
        }
        on_their_way_.pop_front();
        ++done_;
    }

    void synced() override
    {
        if (error_ && !failure_) end_of_series();
        batch_.synced(done_);
    }

    // An error of what stands behind the statements, or of the sync, which commits them: for instance of a deferred
    // constraint.
    void end_of_series()
    {
        if (batch_.goes_on() && done_ > 0) {
            tell_failed(done_ - 1, error_of(last_.sql, batch_.place(done_ - 1)), false);
            return;
        }
        if (session_.forget_stale_statement(error_.get(), false, with_.after))
            session_.forget_companions(error_.get(), with_);
        failure_ = error_of({}, "at the end of the pipeline, when it was committed");
    }

    void tell_failed(std::size_t i, std::exception_ptr why, bool is_stale)
    {
        error_.reset();
        last_failed_ = true;
        batch_.failed(i, host_.failed(why, last_.sql), is_stale);
    }

    // Of a statement with its own COMMIT.
    void tell_rolled_back()
    {
        try {
            throw_rolled_back();
        } catch (const pgcoro::error&) {
            tell_failed(done_ - 1, std::current_exception(), false);
        }
    }

    void forget_companions()
    {
        session_.forget_companions(error_.get(), with_);
        if (!last_.settings) return;
        settings_transaction around(session_.settings_of_transaction, *last_.settings);
        session_.forget_companions(error_.get(), around.get());
    }

    std::exception_ptr error_of(std::string_view sql, const std::string& where) const
    {
        try {
            throw_result_error(error_.get(), session_.pg(), session_.backend_pid, sql, false);
        } catch (pgcoro::error& e) {
            session_.explain_refusal(e);
            if (!where.empty()) e.add_note(where);
            return std::current_exception();
        }
    }

    std::string_view current_sql() const
    {
        return on_their_way_.empty() ? std::string_view() : on_their_way_.front().sql;
    }

    struct sent_statement
    {
        std::string_view sql;
        const local_settings* settings = nullptr;
    };

    session_impl& session_;
    batch& batch_;
    const prologue& with_;
    statement_host& host_;
    std::deque<sent_statement> on_their_way_;
    sent_statement last_;
    std::map<std::string_view, std::exception_ptr> unprepared_;
    std::exception_ptr failure_;
    result_ptr error_; // of the statement that is due, or of the end of its series
    session::time_point begun_;
    std::size_t done_ = 0;
    std::uint64_t rows_ = 0;
    std::uint64_t bytes_ = 0;
    bool begun_sending_ = false;
    bool error_is_known_ = false;
    bool lost_statement_ = false;
    bool preparation_failed_ = false;
    bool not_run_ = false; // it stood behind one that failed
    bool rolled_back_ = false;
    bool misused_copy_ = false;
    bool last_failed_ = false;
};

asio::awaitable<void> run_batch(statement_host& host, batch& b)
{
    std::exception_ptr failure;
    open_span_ptr span;
    try {
        auto& s = host.on().impl();
        span = s.span(span_of::pipeline, {});
        co_await s.make_ready({});
        auto with = host.begin({});
        bool idle = s.is_idle() && with.before.empty();
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
            s.statements.erase_all(); // where one is gone, the others of the batch may be, too
        }
    } catch (...) {
        failure = std::current_exception();
    }
    if (span) span->failed(failure);
    std::rethrow_exception(host.failed(failure, {}));
}

} // namespace pgcoro::detail
