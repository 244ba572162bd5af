#pragma once

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/resilience/retry_budget.hpp>

#include <boost/json/fwd.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace PGCORO_API pgcoro
{

/// When a pool makes sure that a connection still works before it hands it out.
enum class pre_ping {
    always,    ///< a round trip each time
    when_idle, ///< as long as it was idle: not at all, a look at the socket, or a round trip
    never,     ///< not before another one was found dead: the first statement finds out
};

/// When what a caller left in a session beyond its transaction is undone before the next caller gets it: SET
/// (also of role and session authorization), LISTEN, temporary tables, advisory locks, cursors WITH HOLD,
/// PREPARE. DO, CALL and EXECUTE may have left settings. A transaction, a statement or a COPY left under way is ended in any case.
enum class reset_mode {
    automatic, ///< when a statement's text showed that something was left; else it costs nothing
    always,    ///< each time, sequences' currval included: a round trip in the background
    never,     ///< nothing is undone, but client_encoding, which pgcoro needs to be UTF8
};

/// How a pool behaves. Durations of 0 switch off what they bound unless said otherwise.
struct pool_options
{
    /// Where to connect, and what each session starts with. A connection is replaced before its credential ends;
    /// see `connection_options::credentials`.
    connection_options connection;

    /// The pool's name in errors and events; in pg_stat_activity, too, where nothing else sets
    /// `application_name`.
    std::string name = "pgcoro";

    /// How many connections are kept open for the next caller. 1 to 10,000. More is seldom faster: a server
    /// does its best with a small multiple of its cores.
    std::size_t size = 20;

    /// How many more may be opened while callers wait. They are closed when they have been idle for
    /// `overflow_linger`. 0 to 10,000.
    std::size_t max_overflow = 30;

    /// While more than `size` connections are open, those that have been idle for this long are closed, so
    /// that a load which varies around `size` does not open and close connections all the time. 0: a
    /// connection beyond `size` is closed as soon as it comes back and nobody waits. 0 ms to one year.
    std::chrono::milliseconds overflow_linger{5'000};

    /// How long acquire() waits for a connection before it throws `pool_timeout`: for its turn, for the check
    /// of an idle connection, for a connect and for `on_acquire`, all together. At least 1 ms.
    std::chrono::milliseconds acquire_timeout{30'000};

    /// The age at which a connection is replaced instead of reused. 0: never.
    std::chrono::milliseconds recycle_after{std::chrono::minutes(30)};

    /// Each connection's own age limit is shorter than `recycle_after` by up to this share of it, so that
    /// connections opened together do not end together. 0 to 1.
    double recycle_jitter = 0.1;

    /// Connections that were idle for longer are closed. An unused pool shrinks to the connections that
    /// `pool::warm_up` asked for; without warm_up() all are closed. 0: never.
    std::chrono::milliseconds idle_timeout{0};

    /// Whether an idle connection is checked before it is handed out.
    pgcoro::pre_ping pre_ping = pgcoro::pre_ping::when_idle;

    /// `when_idle`: used within this time, a connection is handed out as it is.
    std::chrono::milliseconds alive_bypass{500};

    /// `when_idle`: idle for longer than this, it is asked, with a round trip; between the two its socket is
    /// looked at.
    std::chrono::milliseconds ping_after{30'000};

    /// How long such a round trip may take before the connection is closed. It runs in the background: after
    /// 250 ms of silence the waiting caller no longer relies on it, and the pool opens another connection or
    /// checks the next one. After one that failed all connections that are no newer are suspect: callers wait
    /// for a new connection at the same time as for the next check. At least 1 ms.
    std::chrono::milliseconds ping_timeout{2'000};

    /// Idle connections are asked for an answer this often, so that firewalls do not forget them and dead
    /// ones are found before a caller needs one. 0: never.
    std::chrono::milliseconds keepalive{0};

    /// How many connections may be under way at once: a login costs the server a process, and this side the
    /// arithmetic of SCRAM. At least 1.
    ///
    /// A connect that has been under way for a second no longer counts, so that a few logins which hang do
    /// not keep others from succeeding; `size + max_overflow` still bounds all of them.
    std::size_t max_connecting = 4;

    /// How many callers may wait; who comes then is refused at once with `pool_timeout`. 0: no limit.
    std::size_t max_waiters = 0;

    /// What is done about a session that a caller changed. It happens in the background after the return, not
    /// with the next caller's first statement, so that a lock is not kept and a failure reaches nobody; the
    /// statement cache survives it.
    ///
    /// `automatic` goes by PostgreSQL's own parser, once a statement's text. It does not see what a function
    /// of yours, or a statement put together on the server, does: use `always` where such code SETs or locks
    /// for the session. What a DO block may leave is judged by the words in it. The settings that on_connect
    /// makes are made again: its statements that SET are repeated. If it leaves more (a temporary table …)
    /// and a caller leaves more of the same kind, the connection is replaced.
    reset_mode reset = reset_mode::automatic;

    /// How long it may take to bring back a connection that was returned in the middle of something, or
    /// changed. After that it is closed. At least 1 ms.
    std::chrono::milliseconds cleanup_timeout{5'000};

    /// A lease held for longer is reported to the observer, once, with the place of its acquire(). 0: never.
    std::chrono::milliseconds leak_threshold{0};

    /// A `transactional` call that lasts for longer is reported to the observer, once; see
    /// `transaction_options::report_after`. 0: never, unless that says so.
    std::chrono::milliseconds report_transactions_after{0};

    /// What all transactions of this pool together may spend on retries after lost connections, so that a
    /// sick server is not stormed. A transaction that is refused a retry says so in its error.
    retry_budget_options retry_budget = {};

    /// Runs on each new connection before anyone gets it, for no longer than `connect_timeout`. Its exception
    /// counts as a failed connect.
    ///
    /// No hook is called after ~pool(), or after pool::close() returned. One that is suspended then is
    /// cancelled: it ends with `operation_aborted` on the pool's executor. One that runs on another thread at
    /// that very moment runs on until it next suspends; whoever destroys what a hook uses together with the
    /// pool does so on the pool's own executor, or when its threads have stopped.
    std::function<boost::asio::awaitable<void>(pgcoro::connection&)> on_connect;

    /// Runs each time before a caller gets a connection, on a strand of the caller's executor. Its exception
    /// reaches that caller, and the connection is closed. When the time of acquire() is over, the hook is
    /// cancelled, the caller gets `pool_timeout`, and the connection is cleaned.
    std::function<boost::asio::awaitable<void>(pgcoro::connection&)> on_acquire;

    /// Runs each time a connection comes back, in the background and within `cleanup_timeout`, before anyone
    /// else gets it. If it throws, the connection is closed.
    std::function<boost::asio::awaitable<void>(pgcoro::connection&)> on_release;

    /// Told what the pool and its connections do; null for nobody. Must outlive the pool. After ~pool() it is
    /// not called any more, not even for leases that are still out. After pool::close() returned, only the
    /// pool's callers reach it: acquires that are refused, and the release of leases that were cut.
    pgcoro::observer* observer = nullptr;

    /// From the environment: the connection as `connection_options::from_env()` has it, and POOL_SIZE,
    /// POOL_MAX_OVERFLOW, POOL_TIMEOUT (acquire_timeout), POOL_RECYCLE (recycle_after), POOL_NAME,
    /// POOL_RECYCLE_JITTER, POOL_IDLE_TIMEOUT, POOL_PRE_PING, POOL_ALIVE_BYPASS, POOL_PING_AFTER,
    /// POOL_PING_TIMEOUT, POOL_KEEPALIVE, POOL_MAX_CONNECTING, POOL_MAX_WAITERS, POOL_CLEANUP_TIMEOUT,
    /// POOL_LEAK_THRESHOLD, POOL_OVERFLOW_LINGER, POOL_REPORT_TRANSACTIONS_AFTER, POOL_RESET, POOL_POOLER,
    /// POOL_STATEMENT_TIMEOUT, POOL_LOCK_TIMEOUT, POOL_IDLE_IN_TRANSACTION_SESSION_TIMEOUT, POOL_CONNECT_TIMEOUT, POOL_RESPONSE_GRACE,
    /// POOL_STATEMENT_CACHE_SIZE, POOL_CANCEL_ENCRYPTION. Durations are seconds, or have a unit: "500ms",
    /// "30s", "5min", "1h".
    /// @par Errors
    /// Throws `std::invalid_argument` that names the variable, its value and what it may be; also for a
    /// variable that begins with POOL_ and is not one of these.
    static pool_options from_env();

    /// From JSON: the same options by their names in this struct, those of the connection included; "url" for
    /// the database, "settings" an object of server settings. Durations as from the environment, or numbers
    /// of seconds. Throws `std::invalid_argument` as from_env(), also for a key that it does not know.
    static pool_options from_json(const boost::json::object& json);

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

} // namespace pgcoro
