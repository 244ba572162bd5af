// One logged-in session: runs statements, one at a time, and knows what state it left the connection in.
#pragma once

#include "connection/one_shot.hpp"
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
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// What travels in one round trip. `before` are statements without parameters that are not worth preparing,
// but for the first if `prepare_first`; `after` is a query without parameters, which is.
struct request
{
    std::string_view sql;
    const params* args = nullptr;
    std::span<const std::string> before;
    bool prepare_first = false;
    std::string_view after;
    result_ptr* after_result = nullptr; // where what it gives is put
    // The answer is due by then, or by the statement_timeout's own limit.
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
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

class session final : public statement_host
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    // `label` is what events call it (the pool's name). Throws connection_error.
    static asio::awaitable<std::unique_ptr<session>> connect(
        std::shared_ptr<const connection_options> options, std::string label, time_point deadline);
    ~session();

    // Runs it, and gives what `sql` gave. Throws server_error, connection_error, operation_aborted;
    // std::logic_error when an operation is under way already. After a cancellation the server is told to
    // stop, and recover() is due; the next run() does it first.
    asio::awaitable<result> run(request r);

    // Brings the session back from whatever it was left in: waits for a cancel under way, reads what is still
    // to come, and rolls back an open transaction if `rollback`. Throws when that does not succeed by the
    // deadline; then the connection is broken.
    asio::awaitable<void> recover(time_point deadline, bool rollback);

    // A statement of the simple protocol that nothing can be said before or after, such as COMMIT; gives its
    // command tag. Throws as run() does.
    asio::awaitable<std::string> command(const char* sql);

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
    bool busy() const noexcept { return work_.load(std::memory_order_relaxed) != work::none; }
    // Nothing under way, nothing open: fit to be handed to someone else.
    bool clean() const noexcept
    {
        return !busy() && !interrupted_ && !cancelling_ && !broken() &&
               PQtransactionStatus(wire_->get()) == PQTRANS_IDLE;
    }
    // It is not to be used any more, whatever its socket says.
    void give_up() noexcept { broken_ = true; }
    // Is it certainly dead? A look at the socket: its end, or bytes nobody asked for. No round trip.
    bool looks_dead() const noexcept;

    bool in_transaction() const noexcept { return PQtransactionStatus(wire_->get()) > PQTRANS_ACTIVE; }
    PGTransactionStatusType transaction_status() const noexcept { return PQtransactionStatus(wire_->get()); }
    PGconn* pg() const noexcept { return wire_->get(); }
    wire& socket() noexcept { return *wire_; }
    const connection_options& options() const noexcept { return *options_; }

    // Ends a stream of rows, or a COPY, that was left open.
    void end_holder() noexcept
    {
        if (holder_) holder_->abandon();
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
        operation_ = {};
        waited_ = {};
        last_known_ = nullptr;
    }

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
    enum class piece { before, prepare, main, after, sync, deallocate };
    struct exchange;
    struct run_report;
    // What an answer was: nothing to give on, or the result of the statement or of what came after it.
    enum class taken { nothing, main, after };

    session(std::shared_ptr<const connection_options> options, std::string label, std::unique_ptr<wire> w);

    void check_idle() const;
    asio::awaitable<void> make_ready(std::string_view sql);
    void send(const request& r, const statement_cache::statement* known, exchange& x);
    void send_statement(std::string_view sql, const params& args, piece as, exchange& x);
    void send_known(std::string_view sql, const params& args, const std::string& name);
    void send_unprepared(std::string_view sql, const params& args);
    taken take(exchange& x, result_ptr& answer);
    void settle(exchange& x);
    bool forget_lost_statement(const exchange& x, std::string_view sql);
    void need(int sent, std::string_view sql);
    [[noreturn]] void fail(const PGresult* result, std::string_view sql);
    [[noreturn]] void fail_overdue(std::string_view sql);
    void ask_to_stop();
    time_point response_deadline() const noexcept;
    asio::awaitable<void> drain();
    asio::awaitable<std::string> run_simple(const char* sql);
    void report(const run_report& r);
    std::uint32_t count_repeats(const void* known) noexcept;

    std::shared_ptr<const connection_options> options_;
    std::string label_;
    std::unique_ptr<wire> wire_;
    std::shared_ptr<PGcancel> canceller_;
    std::shared_ptr<cancel_request> cancelling_;
    statement_cache statements_;
    std::vector<std::string> preparing_; // names that the server may have, if its answer was not read
    int syncs_due_ = 0;
    bool sync_owed_ = false; // statements were sent, and the Sync behind them was not
    session_holder* holder_ = nullptr;
    // cancel() changes work_ and cancelling_ only together, under the mutex, and only while a statement runs.
    std::atomic<work> work_{work::none};
    std::mutex cancel_mutex_;
    std::string_view operation_;
    std::chrono::nanoseconds waited_{};
    const void* last_known_ = nullptr; // which statement ran last, and how often in a row; for the observer
    std::uint32_t repeats_ = 0;
    bool interrupted_ = false; // an operation ended before its answer was read
    bool broken_ = false;
    bool watched_ = false;
};

} // namespace pgcoro::detail
