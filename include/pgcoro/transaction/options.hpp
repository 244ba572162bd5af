#pragma once

#include <pgcoro/error/error.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/observer/operation_name.hpp>
#include <pgcoro/observer/trace_context.hpp>
#include <pgcoro/resilience/retry_policy.hpp>

#include <chrono>
#include <cstdint>
#include <type_traits>

namespace PGCORO_API pgcoro
{

class time_source;

/// Isolation levels ("Transaction Isolation", chapter 13.2 of PostgreSQL's documentation).
enum class isolation {
    server_default, ///< the setting default_transaction_isolation, read committed unless it was changed
    read_committed,
    repeatable_read,
    serializable,
};

/// How the outcome of a COMMIT is found out when its answer is lost.
enum class resolve_commit {
    off,       ///< not at all: a lost answer is always `commit_unknown`
    by_id,     ///< by the transaction's id, which the server gives and remembers
    by_marker, ///< by a row that the transaction inserts in the table of create_commit_markers()
};

/// What came of `transactional` calls. Sums: the same object may be given to one call after another, but not
/// to two at once.
struct transaction_metrics
{
    std::uint64_t attempts = 0; ///< transactions begun, or tried to
    std::uint64_t committed = 0;
    std::uint64_t serialization_failures = 0; ///< 40001
    std::uint64_t deadlocks = 0;              ///< 40P01
    std::uint64_t connections_lost = 0;       ///< before, during or after a statement, or in COMMIT
    std::uint64_t other_failures = 0;         ///< the body's own exceptions, and all other errors
    std::uint64_t retries = 0;
    std::uint64_t commits_resolved = 0; ///< COMMIT's answer was lost, and its outcome found out
    std::chrono::nanoseconds waiting{}; ///< for a connection, and between attempts
    std::chrono::nanoseconds total{};   ///< from the call to its end

    transaction_metrics& operator+=(const transaction_metrics& other) noexcept;
};

/// The policy of `transaction_options`: 100 attempts, exponential from 20 ms to at most 100 ms, full jitter.
/// Many short attempts, because who waits long after a deadlock starves beside those who do not: of 16
/// callers on two rows the slowest got 13 % of the mean with delays of up to 500 ms, 18 to 51 % with 200 ms,
/// and 78 % with 100 ms, for twice as many deadlocks; with 50 ms they did little else. On a busy machine four
/// of five of their attempts ended in a deadlock: 50 were too few for one of 1,000 transfers. A lost
/// connection waits for its successor in acquire().
retry_policy transaction_retry();

/// How a transaction runs.
struct transaction_options
{
    pgcoro::isolation isolation = isolation::server_default;
    bool read_only = false;
    /// With serializable and read_only: waits, at its first statement, for a snapshot that cannot fail.
    bool deferrable = false;

    /// The time for the whole call: waiting for a connection, every attempt, and the delays between them. The server
    /// stops a statement that still runs then, deferred constraints included, and the call ends with
    /// `deadline_exceeded`. If the server does not answer, the client gives the connection up 100 ms later. The
    /// server's limit is a `statement_timeout` that travels with the first statement, and with a later one when the last
    /// one would stop it more than 50 ms late. It only shortens the `statement_timeout` that is in force: a shorter
    /// limit that the body sets, or the role has, stays. A transaction whose body does something else at that moment
    /// ends with its connection, and by the server's own `transaction_timeout`, one second later, where the server has
    /// one (PostgreSQL 17). Finding out the outcome of a COMMIT whose answer is lost may take up to 5 s more. 0: no
    /// limit beyond those of the pool and the connection.
    std::chrono::milliseconds timeout{0};

    /// When and how often it is run again. Retries after a lost connection also need the pool's
    /// `retry_budget`; those after a deadlock or serialization failure do not: they are the work's own, and
    /// no sign of a sick server.
    retry_policy retry = transaction_retry();

    /// Errors to retry in addition to deadlocks, serialization failures and lost connections, for instance the
    /// unique violation of a key that the body draws anew each time: a function, or a lambda without captures. May
    /// be null. It is asked only about errors of the transaction's own statements and of its COMMIT, and only where
    /// nothing of the attempt stays: never about `commit_unknown`, `result_lost`, `deadline_exceeded` or a
    /// cancellation.
    bool (*retry_if)(const error&) = nullptr;

    /// How the outcome of a COMMIT is found out when its answer is lost. `by_id` asks for the transaction's id along
    /// with its statements until it has one, and needs the right to run `pg_current_xact_id_if_assigned`,
    /// `pg_current_xact_id`, `pg_backend_pid`, `pg_control_system` and `pg_xact_status`, which every role has by
    /// default. A commit on a server that crashed or failed over meanwhile stays `commit_unknown`. `by_marker` finds
    /// that out, too, and costs a row for each transaction that writes; see create_commit_markers(). Where the role
    /// lacks a right, only lost answers become `commit_unknown`, and the error says which function it was.
    pgcoro::resolve_commit resolve_commit = pgcoro::resolve_commit::by_id;

    /// For events and messages; may be empty.
    operation_name name;

    /// The span that it is a child of; each attempt is a child of it, and what that acquires and runs one of
    /// the attempt's. None by default.
    trace_context trace;

    /// A transaction, all its attempts included, that lasts for longer is reported to the pool's observer,
    /// once, with the place of its `transactional` call, while it holds a connection. 0: what the pool says.
    std::chrono::milliseconds report_after{0};

    /// What the delays between attempts pass on; null for the steady clock and Asio's timers. For tests.
    time_source* time = nullptr;

    /// Gets the figures added; null for none. Must outlive the call.
    transaction_metrics* metrics = nullptr;

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

// GCC 12 destroys an aggregate twice that is written into a co_await expression, as these options usually
// are.
static_assert(std::is_trivially_destructible_v<transaction_options>);

} // namespace pgcoro
