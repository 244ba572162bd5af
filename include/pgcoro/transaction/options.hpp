#pragma once

#include <pgcoro/error/error.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/observer/trace_context.hpp>
#include <pgcoro/resilience/retry_policy.hpp>

#include <chrono>
#include <cstdint>
#include <string_view>
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

    /// The time for all of it: waiting for a connection, every attempt, the delays between. What then runs is
    /// stopped by the server (each statement's `statement_timeout` is no longer than what is left, and
    /// travels with it), and the call ends with `deadline_exceeded`. While the body does something else
    /// meanwhile, the transaction is ended by cutting its connection, and by the server's own
    /// `transaction_timeout`, one second later, where it has one (PostgreSQL 17). To find out what came of a
    /// COMMIT whose answer was lost may take 5 s beyond it. 0: no limit beyond the pool's and the
    /// connection's own.
    std::chrono::milliseconds timeout{0};

    /// When and how often it is run again. Retries after a lost connection also need the pool's
    /// `retry_budget`; those after a deadlock or serialization failure do not: they are the work's own, and
    /// no sign of a sick server.
    retry_policy retry = transaction_retry();

    /// Errors to retry beside deadlocks, serialization failures and lost connections, for instance the unique
    /// violation of a key that the body draws anew each time: a function, or a lambda without captures. May
    /// be null.
    bool (*retry_if)(const error&) = nullptr;

    /// If the answer to COMMIT is lost, ask the server what came of it. For that the transaction's id is
    /// asked for along with its statements until it has one, and the server's timeline once a connection: after
    /// a crash or a failover "committed" may be said of another transaction, so it counts as unknown then.
    /// Without it a lost answer is always `commit_unknown`. Needs `pg_current_xact_id_if_assigned`,
    /// `pg_walfile_name` and `pg_stat_get_bgwriter_stat_reset_time`; to be switched off for servers that only
    /// resemble PostgreSQL.
    bool resolve_commit = true;

    /// For events and messages; may be empty. What it refers to must outlive the call. (A view for the sake
    /// of GCC 12, as `retry_options::operation`.)
    std::string_view name;

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
