// One logged-in session: runs statements, one at a time, and knows the state of its connection. This header is the room's
// interface for the other rooms; only this room includes session_impl.hpp.
#pragma once

#include "base/server_identity.hpp"
#include "connection/credential_schedule.hpp"
#include "connection/libpq_result.hpp"
#include "connection/one_shot.hpp"
#include "connection/open_span.hpp"
#include "connection/socket_guard.hpp"

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/connection/notification.hpp>
#include <pgcoro/connection/options.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

namespace asio = boost::asio;

class session_context;
class session_impl;
class stop_sender;

inline const params no_params;
inline const local_settings no_local_settings;
inline constexpr std::string_view commit_statement = "commit";

// What goes before a statement, as text of the simple protocol.
std::string text_before(const prologue& with);

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
    // Set to the session's context_key() after the statement.
    std::optional<std::string>* context = nullptr;
    bool internal = false; // the library's own question: the observer is not told
};

// Cuts a session from any thread. May outlive the session, and does nothing then.
struct cutter
{
    std::shared_ptr<socket_guard> guard;
    std::shared_ptr<const stop_sender> server;
    int backend_pid = 0;

    // Ends the connection and what the server does for it. May start a thread for the request to the server.
    void cut() const;
    // Cuts it if its operation under way is overdue.
    void expire(socket_guard::time_point now) const { guard->expire(now); }
};

class session final : public statement_host
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    // `label` is what events call it (the pool's name). Throws connection_error.
    static asio::awaitable<owned<session>> connect(std::shared_ptr<const connection_options> options,
                                                   std::string label, time_point deadline);
    explicit session(std::unique_ptr<session_impl> impl) noexcept;
    ~session();

    // --- Statements

    // Runs it, and gives what `sql` gave. Throws server_error, connection_error, operation_aborted;
    // std::logic_error when an operation is under way already. After a cancellation the server is told to
    // stop, and recover() is due; the next run() does it first.
    asio::awaitable<result> run(request r);

    // Statements of the simple protocol that nothing can be said before or after, such as COMMIT. `tag` is
    // the command tag of the last that was answered, also where the connection is lost behind it. The answer
    // is due by the deadline, or by the statement_timeout's own limit. Throws as run() does.
    asio::awaitable<void> command(std::string_view sql, time_point deadline, std::string& tag);

    // Statements of a script, by the simple protocol, for the host. Gives their number. Throws as run() does;
    // errors say which statement it was.
    asio::awaitable<std::uint64_t> run_script(statement_host& host, std::string sql);

    // Returns the next notification; nothing if none arrived in time. Notifications that arrived during other operations
    // come first. A limit of zero also reads what has arrived.
    asio::awaitable<std::optional<notification>> next_notification(std::chrono::milliseconds limit);

    // A round trip that does nothing, by the deadline. Throws connection_error.
    asio::awaitable<void> ping(time_point deadline);

    // How many statements (or batches of them) were handed to libpq: unchanged by an operation that failed,
    // it failed before the server could learn of it.
    std::uint64_t sent() const noexcept;

    // --- Its state

    bool broken() const noexcept;
    // An operation is under way. From any thread.
    bool busy() const noexcept;
    // Is there nothing to clear away before the next statement?
    bool ready() const noexcept;
    // Nothing under way, nothing open: fit to be handed to someone else.
    bool clean() const noexcept;
    bool in_transaction() const noexcept { return transaction_status() > PQTRANS_ACTIVE; }
    PGTransactionStatusType transaction_status() const noexcept;
    // Returns an event that is set when no operation is in progress. From any thread; for one waiter at a time.
    std::shared_ptr<one_shot> when_idle();
    // Reads unsolicited messages: notifications, notices and changed settings. Returns true if the connection has ended: its
    // stream is at its end, or the server has sent a FATAL error. No round trip. Call it only while no operation is in
    // progress.
    bool looks_dead();
    // Returns the SQLSTATE of the FATAL error that looks_dead() read; the default value if there was none.
    sqlstate last_word() const noexcept;
    // Returns true if the server has warned, since the last call, that it stopped waiting for a synchronous standby.
    bool take_unreplicated() noexcept;
    // The statement of a stream or COPY that was left before its end, which made the open transaction fail; empty if there is
    // none.
    const std::string& left_early() const noexcept;
    // It is not to be used any more, whatever its socket says.
    void give_up() noexcept;

    // --- Stopping and bringing back

    // Asks the server, on a connection of its own and from a helper thread, to stop the run() under way, if
    // there is one. The session is not used again before that has come to its end. From any thread.
    void cancel();
    // Ends the connection and what the server does for it, whoever uses it now. From any thread.
    void abort() { cut_from_outside().cut(); }
    cutter cut_from_outside() const;
    // While this is on, no cancel request is sent: cancel() does nothing, and an operation that is left, or overdue, has its
    // connection cut. For COMMIT and PREPARE TRANSACTION, because a cancel request would end the server's wait for a
    // synchronous standby. Switching it on forgets earlier warnings that take_unreplicated() would return.
    void never_cancel(bool on) noexcept;
    // Brings the session back from whatever it was left in: waits for a cancel under way, reads what is still
    // to come, and rolls back an open transaction if `rollback`. Throws when that does not succeed by the
    // deadline; then the connection is broken.
    asio::awaitable<void> recover(time_point deadline, bool rollback);
    // Recovers from an interrupted operation before a statement that run() does not send. Throws connection_error if the
    // connection is lost.
    asio::awaitable<void> make_ready(std::string_view sql);

    // --- What its user changed

    // Returns true if its user changed something beyond transactions, as far as the session watches for it.
    bool dirty() const noexcept;
    // Returns false while another client_encoding is in force.
    bool speaks_utf8() const noexcept;
    // Watches for changes from now on.
    void watch_changes() noexcept;
    // Declares the changes so far to be the session's intended state.
    void keep_changes();
    // The settings in force, as far as they are known.
    const session_context& context() const noexcept;
    // Returns a text that is equal for two sessions only if a statement has equal results in both; nothing if that is not known,
    // or if learn_context() was not called before.
    std::optional<std::string> context_key() const;
    // Asks the server, once, for the defaults of the session's settings. Only while a statement may be run. Throws as run()
    // does; outside of a transaction a refusal is no error, and the key stays unknown.
    asio::awaitable<void> learn_context();
    // Undoes what was changed, or may have been if `all`, and leaves the statement cache as it is. The
    // session is clean() before. Throws when that does not succeed by the deadline, or cannot be done; then
    // the session is not to be used any more.
    asio::awaitable<void> undo(time_point deadline, bool all);

    // --- Its user

    // Ends a stream of rows, or a COPY, that was left open.
    void end_holder() noexcept;
    // Its user goes: the same, his prepared statements, and whatever refers to the session as his.
    void end_use() noexcept;
    void end_lease() noexcept;
    // Of its user now.
    std::shared_ptr<const detail::tenure> tenure();
    // See statement_cache::pin().
    std::shared_ptr<const void> pin(std::string_view sql, const params& types);

    // --- What it is connected to

    PGconn* pg() const noexcept;
    // libpq forgets it with the connection, which is when it is asked for.
    int backend_pid() const noexcept;
    std::string peer() const;
    socket_guard& guard() noexcept { return *shared_guard(); }
    // The guard may outlive the session, and then does nothing. From any thread.
    const std::shared_ptr<socket_guard>& shared_guard() const noexcept;
    const connection_options& options() const noexcept;
    // A statement that makes the options' settings for a transaction, where none are made for the session.
    const std::string& settings_of_transaction() const noexcept;
    // What is known of the server and of the role's rights there. Whoever asks the server stores the answer here.
    server_knowledge& server() noexcept;
    // When to replace it, because the credential that it logged in with ends; nothing if it stays valid.
    std::optional<credential_schedule::window> retirement() const noexcept;
    // Deadlines are watched by somebody who calls guard().expire(): no timer is needed here.
    void set_watched() noexcept;

    // --- What observers are told

    // Whose the statements from now on are, and how long that one waited for this connection. A new lease
    // begins with none.
    void name_operation(std::string_view name) noexcept;
    std::string_view operation_name() const noexcept;
    void waited_for(std::chrono::nanoseconds time) noexcept;
    // The statements from now on belong to this span; to none if it is not valid, or not sampled.
    void trace(const trace_context& context) noexcept;
    // A span of the user's; null when there is none. `sql` must be there until it ends.
    open_span_ptr span(span_of of, std::string_view sql = {}) const;
    // Tells a span where it takes place.
    void place(open_span& s) const;

    // --- A connection as it is: nothing goes before a statement, and errors are as they are.
    session& on() override { return *this; }
    prologue begin(std::string_view) override { return {}; }
    void told(const char*) override {}
    std::exception_ptr failed(std::exception_ptr why, std::string_view) override { return why; }

    // For this room only.
    session_impl& impl() noexcept { return *impl_; }

private:
    std::unique_ptr<session_impl> impl_;
};

// See session::never_cancel(). A local variable of a coroutine.
class never_cancelled
{
public:
    explicit never_cancelled(session& s) noexcept
        : session_(s)
    {
        session_.never_cancel(true);
    }
    never_cancelled(const never_cancelled&) = delete;
    never_cancelled& operator=(const never_cancelled&) = delete;
    ~never_cancelled() { session_.never_cancel(false); }

private:
    session& session_;
};

} // namespace pgcoro::detail
