#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observer/operation_name.hpp>
#include <pgcoro/resilience/backoff.hpp>

#include <chrono>

namespace PGCORO_API pgcoro
{

/// How often, how soon and for how long something is tried again.
struct retry_policy
{
    /// For messages, events and statistics.
    operation_name name = "retry";

    /// All attempts, the first one included; 1 or more. Default: 3.
    int max_attempts = 3;

    /// The delays between them. Default: exponential from 100 ms to at most 5 s, full jitter.
    pgcoro::backoff backoff =
        pgcoro::backoff::exponential(std::chrono::milliseconds(100), std::chrono::seconds(5));

    /// No attempt starts later than this after the first one started. Default: no limit of this kind.
    std::chrono::nanoseconds max_elapsed = std::chrono::nanoseconds::max();

    /// Throws `std::invalid_argument`, with the field, its value and its range, if a field is out of range.
    void validate() const;
};

/// 3 attempts, exponential from 0.1 s to at most 5 s, full jitter: statements and transactions.
retry_policy database_retry();

/// 5 attempts, exponential from 1 s to at most 30 s, full jitter: what goes over a network, servers that
/// restart.
retry_policy network_retry();

/// 4 attempts, 0.5 s, 1 s and 2 s apart, without jitter: a lock that somebody else holds.
retry_policy lock_retry();

/// 3 attempts, linear from 0.1 s to at most 1 s, full jitter: what is on this machine.
retry_policy local_retry();

} // namespace pgcoro
