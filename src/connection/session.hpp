// One logged-in session: runs statements, one at a time, and knows what state it left the connection in.
#pragma once

#include "connection/diagnostics.hpp"
#include "connection/dirt.hpp"
#include "connection/one_shot.hpp"
#include "connection/open_span.hpp"
#include "connection/statement_cache.hpp"
#include "connection/wire.hpp"

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/notification.hpp>
#include <pgcoro/connection/options.hpp>
#include <pgcoro/connection/result.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// What travels in one round trip.
struct request
{
    std::string_view sql;
    const params* args = nullptr;
    const prologue* with = &no_prologue; // what goes before and behind it, and when the answer is due
    result_ptr* after_result = nullptr;  // where what `with->after` gives is put
    bool describe = false;               // not run: prepared, and described
    result_ptr* kept = nullptr; // where what `sql` gave is put if it came and something failed after it
    bool* committed = nullptr;  // set when COMMIT was answered, whatever failed after it
    // What is sent in place of `sql`, if anything: another text each time, so it is not prepared.
    std::string_view sent_as{};
};

class batch;

// Something that holds a session over several calls of its user.
class session_holder
{
public:
    // Lets go, whatever state that leaves the session in.
    virtual void abandon() noexcept = 0;

protected:
    ~session_holder() = default;
};

// By what handles that their user may keep for too long know a session: null once it is not theirs any more.
struct tenure
{
    std::atomic<session*> holder;
};

class session final : public statement_host
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    // `label` is what events call it (the pool's name). Throws connection_error.
    static asio::awaitable<owned<session>> connect(std::shared_ptr<const connection_options> options,
                                                   std::string label, time_point deadline);
    ~session();

    // Runs it, and gives what `sql` gave. Throws server_error, connection_error, operation_aborted;
    // std::logic_error when an operation is under way already. After a cancellation the server is told to
    // stop, and recover() is due; the next run() does it first.
    asio::awaitable<result> run(request r);

    // Brings the session back from whatever it was left in: waits for a cancel under way, reads what is still
    // to come, and rolls back an open transaction if `rollback`. Throws when that does not succeed by the
    // deadline; then the connection is broken.
    asio::awaitable<void> recover(time_point deadline, bool rollback);

    // Before a statement, where run() does not do it: what is left of the one before it is cleared away.
    // Throws when the connection is lost.
    asio::awaitable<void> make_ready(std::string_view sql);
    // Is there nothing to clear away?
    bool ready() const noexcept { return !interrupted_ && !cancelling_; }

    // Statements of the simple protocol that nothing can be said before or after, such as COMMIT. `tag` is
    // the command tag of the last that was answered, also where the connection is lost behind it. The answer
    // is due by the deadline, or by the statement_timeout's own limit. Throws as run() does.
    asio::awaitable<void> command(std::string_view sql, time_point deadline, std::string& tag);

    // Statements of a script, by the simple protocol, for the host. Gives their number. Throws as run() does;
    // errors say which statement it was.
    asio::awaitable<std::uint64_t> run_script(statement_host& host, std::string sql);

    // The next notification, those that came during other operations first; nothing when none came in time.
    asio::awaitable<std::optional<notification>> next_notification(std::chrono::milliseconds limit);

    // A round trip that does nothing, by the deadline. Throws connection_error.
    asio::awaitable<void> ping(time_point deadline);

    // Asks the server, on a connection of its own and from a helper thread, to stop the run() under way, if
    // there is one. The session is not used again before that has come to its end. From any thread.
    void cancel();

    // Ends the connection and what the server does for it, whoever uses it now. From any thread.
    void abort();

    bool broken() const noexcept { return broken_ || wire_->broken(); }
    // How many statements (or batches of them) were handed to libpq: unchanged by an operation that failed,
    // it failed before the server could learn of it.
    std::uint64_t sent() const noexcept { return sent_; }
    bool busy() const noexcept { return work_.load(std::memory_order_relaxed) != work::none; }
    // The server's timeline, once somebody asked for it: constant as long as it takes writes.
    const std::string& timeline() const noexcept { return timeline_; }
    void set_timeline(std::string_view name) { timeline_ = name; }

    // Nothing under way, nothing open: fit to be handed to someone else.
    bool clean() const noexcept
    {
        return !busy() && ready() && !broken() && PQtransactionStatus(wire_->get()) == PQTRANS_IDLE;
    }
    // What its user changed beyond transactions, as far as it is watched for.
    bool dirty() const noexcept { return dirt_ != 0; }
    // Watches for it from now on.
    void watch_dirt() noexcept { watches_dirt_ = true; }
    // What was done so far is how the session is meant to be.
    void keep_dirt();
    // Undoes what was changed, or may have been if `all`, and leaves the statement cache as it is. The
    // session is clean() before. Throws when that does not succeed by the deadline, or cannot be done; then
    // the session is not to be used any more.
    asio::awaitable<void> undo(time_point deadline, bool all);

    // It is not to be used any more, whatever its socket says.
    void give_up() noexcept { broken_ = true; }
    // Is it certainly dead? A look at the socket: its end, or bytes nobody asked for. No round trip.
    bool looks_dead() const noexcept;

    bool in_transaction() const noexcept { return PQtransactionStatus(wire_->get()) > PQTRANS_ACTIVE; }
    PGTransactionStatusType transaction_status() const noexcept { return PQtransactionStatus(wire_->get()); }
    PGconn* pg() const noexcept { return wire_->get(); }
    // libpq forgets it with the connection, which is when it is asked for.
    int backend_pid() const noexcept { return backend_pid_; }
    std::string peer() const { return describe_peer(pg(), backend_pid_); }
    wire& socket() noexcept { return *wire_; }
    const connection_options& options() const noexcept { return *options_; }
    // A statement that makes the options' settings for a transaction, where none are made for the session.
    const std::string& settings_of_transaction() const noexcept { return settings_of_transaction_; }

    // Ends a stream of rows, or a COPY, that was left open.
    void end_holder() noexcept
    {
        if (holder_) holder_->abandon();
    }
    // Its user goes: the same, and his prepared statements.
    void end_use() noexcept;

    // Of its user now.
    std::shared_ptr<const detail::tenure> tenure();
    // See statement_cache::pin().
    std::shared_ptr<const void> pin(std::string_view sql, const params& types)
    {
        return statements_.pin(sql, types);
    }

    // A connection as it is: nothing goes before a statement, and errors are as they are.
    session& on() override { return *this; }
    prologue begin(std::string_view) override { return {}; }
    void told(const char*) override {}
    std::exception_ptr failed(std::exception_ptr why, std::string_view) override { return why; }

    // What events say of the statements from now on: whose they are, and how long that one waited for this
    // connection. A new lease begins with none.
    void name_operation(std::string_view name) noexcept { operation_ = name; }
    std::string_view operation_name() const noexcept { return operation_; }
    void waited_for(std::chrono::nanoseconds time) noexcept { waited_ = time; }
    void end_lease() noexcept
    {
        traced_ = false;
        operation_ = {};
        waited_ = {};
        last_known_ = nullptr;
    }

    // The statements from now on belong to this span; to none if it is not valid, or not sampled.
    void trace(const trace_context& context) noexcept;
    // A span of the user's; null when there is none. `sql` must be there until it ends.
    open_span_ptr span(span_of of, std::string_view sql = {}) const;
    // Tells a span where it takes place.
    void place(open_span& s) const;
    // The text with the context in a comment; empty where none is to be sent.
    std::string comment(std::string_view sql, const open_span* under) const;

    // Deadlines are watched by somebody who calls socket().guard().expire(): no timer is needed here.
    void set_watched() noexcept { watched_ = true; }

private:
    friend class row_source;
    friend class copy_channel;
    friend class batch_run;
    friend asio::awaitable<void> run_batch(statement_host&, batch&);

    // What is under way: nothing; something that is not cancelled from outside; run(); run(), and the server
    // was asked to stop it.
    enum class work { none, internal, statement, cancelled_statement };
    class claim;
    class operation;
    struct cancel_request;
    enum class piece { before, prepare, main, after, commit, sync, deallocate };
    struct exchange;
    struct run_report;
    // What an answer was: nothing to give on, or the result of the statement or of what came after it.
    enum class taken { nothing, main, after };

    // A statement that is kept, to be run again.
    struct remembered
    {
        std::string sql;
        params args;
        std::uint8_t leaves = 0; // dirt_kind
    };

    session(std::shared_ptr<const connection_options> options, std::string label, std::unique_ptr<wire> w);

    asio::awaitable<result> run_plain(request r);
    asio::awaitable<result> run_traced(request r);
    asio::awaitable<void> command_plain(std::string_view sql, time_point deadline, std::string& tag);
    asio::awaitable<void> command_traced(std::string_view sql, time_point deadline, std::string& tag);
    void check_idle() const;
    void check(std::string_view sql, std::size_t parameters);
    void note(std::string_view sql, const params& args);
    void note_script(const std::string& sql);
    void note(std::uint8_t kinds, std::string_view sql, const params& args);
    std::vector<remembered> undoing(std::uint8_t kinds, bool all) const;
    asio::awaitable<void> make_settings(time_point deadline);
    asio::awaitable<result_ptr> run_each(const std::vector<remembered>& statements, time_point deadline);
    void send(const request& r, const statement_cache::statement* known, exchange& x);
    void send_before(const prologue& with, exchange& x);
    void send_behind(const prologue& with, exchange& x);
    void send_preparation(std::string_view sql, const params& args, const std::string& name);
    void send_description(std::string_view sql, const params& types, exchange& x);
    const statement_cache::statement& prepared_statement(std::string_view sql, const params& args,
                                                         exchange& x);
    void send_statement(std::string_view sql, const params& args, piece as, exchange& x);
    void send_known(std::string_view sql, const params& args, const std::string& name);
    void send_unprepared(std::string_view sql, const params& args);
    taken take(exchange& x, result_ptr& answer);
    void settle(exchange& x);
    bool forget_lost_statement(const exchange& x, std::string_view sql);
    void forget_companions(const exchange& x, const prologue& with);
    void need(int sent, std::string_view sql);
    [[noreturn]] void fail(const PGresult* result, std::string_view sql);
    [[noreturn]] void fail_overdue(std::string_view sql);
    void ask_to_stop();
    time_point response_deadline() const noexcept;
    asio::awaitable<void> drain();
    asio::awaitable<void> run_simple(std::string_view sql, std::string* tag = nullptr);
    void report(const run_report& r);
    std::uint32_t count_repeats(const void* known) noexcept;

    std::shared_ptr<const connection_options> options_;
    std::string label_;
    std::unique_ptr<wire> wire_;
    int backend_pid_;
    std::shared_ptr<PGcancel> canceller_;
    std::shared_ptr<cancel_request> cancelling_;
    statement_cache statements_;
    std::vector<std::string> preparing_; // names that the server may have, if its answer was not read
    std::uint64_t sent_ = 0;
    std::string timeline_;
    int syncs_due_ = 0;
    bool sync_owed_ = false; // statements were sent, and the Sync behind them was not
    session_holder* holder_ = nullptr;
    std::shared_ptr<detail::tenure> tenure_;
    dirt_memory unprepared_dirt_;
    std::uint8_t dirt_ = 0;             // dirt_kind
    std::uint8_t not_to_be_undone_ = 0; // of what is kept, because it could not be made again
    // What makes the settings of a session as it is meant to be, beyond those of the startup packet.
    std::vector<remembered> opening_;
    std::string settings_of_transaction_;
    bool watches_dirt_ = false;
    bool kept_ = false;
    // cancel() changes work_ and cancelling_ only together, under the mutex, and only while a statement runs.
    std::atomic<work> work_{work::none};
    std::mutex cancel_mutex_;
    trace_context trace_; // of its user, where traced_
    bool traced_ = false;
    std::string_view operation_;
    std::chrono::nanoseconds waited_{};
    const void* last_known_ = nullptr; // which statement ran last, and how often in a row; for the observer
    std::uint32_t repeats_ = 0;
    bool interrupted_ = false; // an operation ended before its answer was read
    bool broken_ = false;
    bool watched_ = false;
};

} // namespace pgcoro::detail
