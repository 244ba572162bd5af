/// What `metrics` counts, as plain structs described by Boost.Describe, so that
/// `boost::json::value_from(snapshot)` gives them as JSON. All times are in seconds, all shares from 0 to 1.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/histogram.hpp>

#include <boost/describe/class.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A distribution of durations; see `histogram` for how exact the quantiles are.
struct duration_figures
{
    std::uint64_t count = 0;
    double sum = 0;
    double min = 0;
    double avg = 0;
    double max = 0;
    double p50 = 0;
    double p95 = 0;
    double p99 = 0;
    double p999 = 0;
    histogram distribution; ///< not in the JSON

    static duration_figures of(histogram h);
};
BOOST_DESCRIBE_STRUCT(duration_figures, (), (count, sum, min, avg, max, p50, p95, p99, p999))

/// Statements of one kind.
struct query_figures
{
    std::string name; ///< the operation's name, or the statement's fingerprint; "other" for the rest
    std::string text; ///< of a statement: its text without literals; never a parameter
    std::uint64_t count = 0;
    std::uint64_t errors = 0;
    double error_rate = 0;
    std::uint64_t slow = 0; ///< took longer than `metrics_options::slow_query`
    duration_figures duration;
    // Where the time went: sums over all.
    double waiting = 0;   ///< for a connection; not part of `duration`
    double sending = 0;   ///< until the socket had taken the request
    double server = 0;    ///< until the first bytes of the answer
    double receiving = 0; ///< until its end
    std::uint64_t rows = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t repeated = 0;     ///< ran again in the same lease, right behind the same statement
    std::uint64_t longest_loop = 0; ///< the most often in a row, in one lease
    std::map<std::string, std::uint64_t> errors_by_class;    ///< `to_string(failure_class)`
    std::map<std::string, std::uint64_t> errors_by_sqlstate; ///< empty key: the connection broke
};
BOOST_DESCRIBE_STRUCT(query_figures, (),
                      (name, text, count, errors, error_rate, slow, duration, waiting, sending, server,
                       receiving, rows, bytes_sent, bytes_received, repeated, longest_loop, errors_by_class,
                       errors_by_sqlstate))

/// A pool. The first part is of this moment, and 0 for a pool that nobody had watched.
struct pool_figures
{
    std::string name;
    std::string database; ///< `db.namespace`
    bool watched = false;
    std::uint64_t size = 0;
    std::uint64_t max_overflow = 0;
    std::uint64_t open = 0;
    std::uint64_t in_use = 0;
    std::uint64_t idle = 0;
    std::uint64_t overflow = 0; ///< open beyond `size`
    std::uint64_t connecting = 0;
    std::uint64_t cleaning = 0;
    std::uint64_t waiting = 0;
    double utilization = 0; ///< in use, of size + max_overflow
    std::string last_connect_failure;

    std::uint64_t acquired = 0;
    std::uint64_t queued = 0; ///< of these: had to wait for their turn
    std::uint64_t timeouts = 0;
    std::map<std::string, std::uint64_t> refused; ///< who got none, by cause, timeouts among them
    std::uint64_t created = 0;
    std::uint64_t create_failures = 0;
    std::map<std::string, std::uint64_t> closed; ///< by cause
    std::uint64_t cleanups = 0;                  ///< leases that came back in the middle of something
    std::uint64_t leaks = 0;
    duration_figures wait_time;
    duration_figures use_time;
    duration_figures create_time;
};
BOOST_DESCRIBE_STRUCT(pool_figures, (),
                      (name, database, watched, size, max_overflow, open, in_use, idle, overflow, connecting,
                       cleaning, waiting, utilization, last_connect_failure, acquired, queued, timeouts,
                       refused, created, create_failures, closed, cleanups, leaks, wait_time, use_time,
                       create_time))

/// `transactional` calls.
struct transaction_figures
{
    std::string name;
    std::uint64_t active = 0;
    std::uint64_t committed = 0;
    std::uint64_t rolled_back = 0;
    std::uint64_t unknown = 0;          ///< what came of COMMIT could not be found out
    std::uint64_t commits_resolved = 0; ///< COMMIT's answer was lost, and its outcome found out
    std::uint64_t attempts = 0;
    std::uint64_t retries = 0;
    std::map<std::string, std::uint64_t> failed_attempts; ///< by cause: serialization, deadlock …
    double waiting = 0;                                   ///< for connections, and between attempts
    duration_figures duration;
};
BOOST_DESCRIBE_STRUCT(transaction_figures, (),
                      (name, active, committed, rolled_back, unknown, commits_resolved, attempts, retries,
                       failed_attempts, waiting, duration))

/// A circuit breaker. What is not known of one that nobody had watched is 0.
struct breaker_figures
{
    std::string name;
    std::string state;
    std::uint64_t changes = 0;
    std::uint64_t opened = 0;
    std::uint64_t rejected = 0;
    std::uint64_t window_calls = 0;
    std::uint64_t window_failures = 0;
};
BOOST_DESCRIBE_STRUCT(breaker_figures, (),
                      (name, state, changes, opened, rejected, window_calls, window_failures))

/// A retry budget.
struct budget_figures
{
    std::string name;
    double available = 0;
    double capacity = 0;
};
BOOST_DESCRIBE_STRUCT(budget_figures, (), (name, available, capacity))

/// A query cache.
struct cache_figures
{
    std::string name;
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t stale = 0;  ///< answered by a stale result, as the call allowed
    std::uint64_t misses = 0; ///< asked of the database
    std::uint64_t bypassed = 0;
    std::uint64_t evictions = 0;
    std::uint64_t invalidations = 0;
    double hit_ratio = 0; ///< hits and stale ones, of these and the misses; 0 when nothing was asked for
};
BOOST_DESCRIBE_STRUCT(cache_figures, (),
                      (name, entries, bytes, hits, stale, misses, bypassed, evictions, invalidations,
                       hit_ratio))

/// A host of a cluster.
struct host_figures
{
    std::string name;          ///< "host:port"
    std::string role;          ///< `to_string(host_role)`
    std::optional<double> lag; ///< how old what it shows may be; nothing when it is not known
    double latency = 0;        ///< of the checks
    std::uint64_t reads = 0;   ///< sent there
    std::uint64_t writes = 0;
    std::uint64_t failed_checks = 0;
    std::string last_failure; ///< of a check; empty when the last one succeeded
    std::string unusable;     ///< why a replica serves no reads, as `host_stats` has it; else empty
    std::uint64_t in_use = 0; ///< of its connections
    std::uint64_t idle = 0;
    std::uint64_t waiting = 0; ///< callers
};
BOOST_DESCRIBE_STRUCT(host_figures, (),
                      (name, role, lag, latency, reads, writes, failed_checks, last_failure, unusable,
                       in_use, idle, waiting))

/// A cluster; see `cluster_stats`.
struct cluster_figures
{
    std::string name;
    std::string policy; ///< `to_string(read_policy)`: who gets a read
    std::vector<host_figures> hosts;
    std::uint64_t failovers = 0;
    std::uint64_t promotions = 0;
    std::uint64_t waited_for_primary = 0; ///< writes, and reads that nothing else could serve
    std::uint64_t token_waits = 0;        ///< reads that waited for a replica to catch up with a write
    std::uint64_t caught_up = 0;
    std::uint64_t stale_avoided = 0;
    std::uint64_t rerouted = 0;
};
BOOST_DESCRIBE_STRUCT(cluster_figures, (),
                      (name, policy, hosts, failovers, promotions, waited_for_primary, token_waits, caught_up,
                       stale_avoided, rerouted))

/// All of it. The counters count since `metrics` was made.
struct metrics_snapshot
{
    double time = 0;                       ///< since 1970
    double uptime = 0;                     ///< of the `metrics` object
    query_figures queries;                 ///< the whole
    std::vector<query_figures> operations; ///< most frequent first; so are the following
    std::vector<query_figures> statements;
    std::vector<pool_figures> pools;
    transaction_figures transactions; ///< the whole
    std::vector<transaction_figures> transactions_by_name;
    std::vector<breaker_figures> breakers;
    std::vector<budget_figures> budgets;
    std::vector<cache_figures> caches;
    std::vector<cluster_figures> clusters;
    std::map<std::string, std::uint64_t> retries; ///< of transactions and others, by the failure's class
};
BOOST_DESCRIBE_STRUCT(metrics_snapshot, (),
                      (time, uptime, queries, operations, statements, pools, transactions,
                       transactions_by_name, breakers, budgets, caches, clusters, retries))

} // namespace pgcoro
