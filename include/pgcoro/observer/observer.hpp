#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observer/trace_context.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <source_location>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// A query ran, successfully or not.
struct query_event
{
    std::string_view pool; ///< the pool's name; empty for a connection outside a pool
    std::string_view sql;
    std::chrono::nanoseconds duration{}; ///< from sending to the last row received
    std::uint64_t rows = 0;              ///< returned or affected
    std::string_view sqlstate;           ///< "00000" on success; empty when the connection broke
    bool prepared_now = false;           ///< the statement had not been prepared on this connection before

    std::string_view operation; ///< what the caller named it, or its transaction; else empty
    /// How long its lease waited for a connection; told with the first statement of a lease.
    std::chrono::nanoseconds waited{};
    /// Of `duration`, for a single statement: until the socket had taken it, then until the first bytes of
    /// the answer, then until its end. All three are 0 for scripts, streams, pipelines and COPY.
    std::chrono::nanoseconds sending{};
    std::chrono::nanoseconds server{};
    std::chrono::nanoseconds receiving{};
    std::uint64_t bytes_sent = 0;     ///< of its parameters, or of the data of COPY
    std::uint64_t bytes_received = 0; ///< of the values returned, or of the data of COPY
    /// How often the same prepared statement has run in a row on this connection within one lease.
    std::uint32_t repeats = 1;
};

/// The server sent a notice (RAISE NOTICE, a warning …).
struct notice_event
{
    std::string_view pool;
    std::string_view severity;
    std::string_view sqlstate;
    std::string_view message;
    std::string_view detail;
    std::string_view hint;
};

/// A connection was made, or not.
struct connect_event
{
    std::string_view pool;
    std::string_view host; ///< what was connected to; empty when it failed before that
    std::chrono::nanoseconds duration{};
    std::exception_ptr failure; ///< null on success
};

/// Why a pool closed a connection.
enum class close_reason {
    broken,      ///< an error on it, or found dead
    expired,     ///< older than recycle_after
    idle,        ///< idle for longer than idle_timeout
    overflow,    ///< returned while `size` others were idle
    not_cleaned, ///< left in a state that could not be undone in time
    evicted,     ///< on request
    pool_closed,
};

/// "broken", "expired" …: for messages and labels.
std::string_view to_string(close_reason r) noexcept;

/// A pool closed a connection.
struct disconnect_event
{
    std::string_view pool;
    close_reason reason{};
    std::chrono::nanoseconds age{};
};

/// A caller got a connection from a pool.
struct acquire_event
{
    std::string_view pool;
    std::chrono::nanoseconds waited{}; ///< 0 when one was idle and needed no check
    bool queued = false;               ///< it had to wait for its turn
};

/// A caller got none in time, or was refused at once.
struct acquire_failed_event
{
    std::string_view pool;
    std::chrono::nanoseconds waited{};
    std::string_view why; ///< "timeout", "max_waiters", "closed", "connect_failed", "cancelled"
};

/// A lease ended.
struct release_event
{
    std::string_view pool;
    std::chrono::nanoseconds held{};
    bool dirty = false; ///< it had to be cleaned before the next use
};

/// A lease is held for longer than `leak_threshold`. Told once a lease.
struct leak_event
{
    std::string_view pool;
    std::chrono::nanoseconds held{};
    std::source_location acquired_at;
};

/// A retry is about to wait and try again.
struct retry_event
{
    std::string_view name;     ///< what is retried
    int attempt = 0;           ///< the attempt that failed, counted from 1
    std::string_view sqlstate; ///< empty when no server error was the cause
    std::string_view why;      ///< the error's first line
    std::chrono::nanoseconds delay{};
};

/// How a transaction ended.
enum class transaction_outcome {
    committed,
    prepared, ///< PREPARE TRANSACTION: somebody else ends it
    rolled_back,
    unknown, ///< its COMMIT was sent, and the answer lost or not waited for
};

/// A `transactional` scope began. Each is followed by a transaction_event.
struct transaction_begin_event
{
    std::string_view pool;
    std::string_view name;
};

/// A `transactional` scope ended: all of its attempts together.
struct transaction_event
{
    std::string_view pool;
    std::string_view name;
    transaction_outcome outcome{};
    int attempts = 0;
    bool commit_resolved = false; ///< COMMIT was lost, and its outcome found out
    std::chrono::nanoseconds duration{};
    std::chrono::nanoseconds waiting{}; ///< of that: for connections, and between attempts
    // Why attempts failed; the last one, too, unless it committed.
    std::uint64_t serialization_failures = 0;
    std::uint64_t deadlocks = 0;
    std::uint64_t connections_lost = 0;
    std::uint64_t other_failures = 0;
};

/// A transaction lasts for longer than `report_after`. Told once a `transactional` call.
struct long_transaction_event
{
    std::string_view pool;
    std::string_view name;
    int attempt = 0;                ///< the one under way, counted from 1
    std::chrono::nanoseconds age{}; ///< since the call, earlier attempts included
    int backend_pid = 0;            ///< as in pg_stat_activity
    std::source_location begun_at;  ///< the call's place
};

/// The state of a circuit breaker changed.
struct breaker_event
{
    std::string_view name;
    std::string_view from; ///< "closed", "open", "half_open"
    std::string_view to;
};

/// The role of one of a cluster's hosts changed, as the cluster sees it.
struct role_event
{
    std::string_view cluster;
    std::string_view host;
    std::string_view from; ///< "unknown", "primary", "replica", "outdated", "unreachable", "removed"
    std::string_view to;
    std::string_view why; ///< of an unreachable host: the error's first line
};

/// A cluster has a primary again, after it had none or had another one.
struct failover_event
{
    std::string_view cluster;
    std::string_view from;              ///< the primary before; may be the same
    std::string_view to;                ///< the primary now
    std::chrono::nanoseconds without{}; ///< for how long there was none that the cluster knew of
};

/// What a span is of.
enum class span_of {
    statement,   ///< one statement, a script, a stream or a COPY
    pipeline,    ///< several statements sent as one
    acquire,     ///< waiting for a connection of a pool
    connect,     ///< connecting and logging in
    transaction, ///< a `transactional` call with all its attempts
    attempt,     ///< one attempt of it: the parent of what it acquires and runs
};

/// "statement", "pipeline" …: for messages and labels.
std::string_view to_string(span_of s) noexcept;

/// A span begins, somewhere under a context that a user set.
struct span_begin
{
    span_of of{};
    trace_context parent;
    /// The span's own: a new id, unless an observer that makes its own ids puts one here. What the span is
    /// the parent of, and what goes to the server in a comment, has it from here.
    trace_context own;
    std::chrono::system_clock::time_point at;
    std::chrono::steady_clock::time_point begun;
};

/// A span ended.
struct span_event
{
    span_begin begin;                    ///< as it was after on_span_begin()
    std::chrono::nanoseconds duration{}; ///< by the steady clock
    std::string_view pool;
    std::string_view database; ///< this and the next two are empty where no connection was had
    std::string_view host;     ///< a name, an address or a socket's folder
    std::string_view port;
    std::string_view operation;  ///< what the caller named it, or its transaction; else empty
    std::string_view sql;        ///< of statements; parameters are not in it
    std::string_view sqlstate;   ///< of what it ended with; empty when the server said nothing
    std::string_view error_type; ///< SQLSTATE, "connection_lost", "cancelled" …; empty on success
    std::uint64_t rows = 0;      ///< returned or affected
    int attempt = 0;             ///< of an attempt: which, from 1 on; of a transaction: how many
};

/// What the layer tells of its work. Derive, override what is wanted, and put it into the options of a pool
/// or a connection; it must outlive them.
///
/// The functions are called at the place of the event, from whatever thread that runs on, several at once:
/// an implementation is thread-safe, quick, does not block and does not throw. What an event refers to
/// lives for the call only. No lock of the layer is held meanwhile.
class observer
{
public:
    virtual ~observer();

    virtual void on_query(const query_event&) noexcept {}
    virtual void on_notice(const notice_event&) noexcept {}
    virtual void on_connect(const connect_event&) noexcept {}
    virtual void on_disconnect(const disconnect_event&) noexcept {}
    virtual void on_acquire(const acquire_event&) noexcept {}
    virtual void on_acquire_failed(const acquire_failed_event&) noexcept {}
    virtual void on_release(const release_event&) noexcept {}
    virtual void on_leak(const leak_event&) noexcept {}
    virtual void on_retry(const retry_event&) noexcept {}
    virtual void on_transaction_begin(const transaction_begin_event&) noexcept {}
    virtual void on_transaction(const transaction_event&) noexcept {}
    virtual void on_long_transaction(const long_transaction_event&) noexcept {}
    virtual void on_breaker(const breaker_event&) noexcept {}
    virtual void on_role(const role_event&) noexcept {}
    virtual void on_failover(const failover_event&) noexcept {}

    /// Does it want spans? Asked wherever a user set a sampled trace_context, and without one nothing is
    /// asked or made. Each span that begins is told of twice, if need be on two threads.
    virtual bool wants_spans() const noexcept { return false; }
    virtual void on_span_begin(span_begin&) noexcept {}
    virtual void on_span(const span_event&) noexcept {}
};

} // namespace pgcoro
