#pragma once

#include <pgcoro/export.hpp>

#include <cstddef>
#include <cstdint>

namespace PGCORO_API pgcoro
{

/// A cache's figures at one moment; the counters count since it was made.
struct cache_stats
{
    std::size_t entries = 0;     ///< kept, those that are stale or invalidated and not yet replaced included
    std::size_t bytes = 0;       ///< that they take
    std::size_t statements = 0;  ///< whose meaning is remembered
    std::uint64_t hits = 0;      ///< answered by a fresh result
    std::uint64_t stale = 0;     ///< answered by a stale one, as the call allowed
    std::uint64_t misses = 0;    ///< asked of the database, and kept where possible
    std::uint64_t shared = 0;    ///< of those, that waited for another caller's query
    std::uint64_t bypassed = 0;  ///< asked of the database, because the statement must not be cached
    std::uint64_t queries = 0;   ///< sent for misses and refreshes
    std::uint64_t refreshes = 0; ///< of those, in the background
    std::uint64_t evictions =
        0;                     ///< entries that had to go for others, newcomers that were not let in included
    std::uint64_t refused = 0; ///< results too large, or too cheap, to be kept
    std::uint64_t outdated =
        0; ///< results not kept because they were invalidated while they were on their way
    std::uint64_t invalidations = 0; ///< tags, keys and patterns that were invalidated

    /// Results kept to which each rule of the adaptive strategy applied.
    std::uint64_t ttl_frequent = 0;
    std::uint64_t ttl_slow = 0;
    std::uint64_t ttl_capped = 0;
    std::uint64_t ttl_raised = 0;

    bool following = false;          ///< listens to the database's notifications, and hears it
    std::uint64_t notifications = 0; ///< that came
    std::uint64_t gaps = 0;          ///< times that the connection for them was lost
    /// Times that the catalog had changed (DDL), so that everything was forgotten.
    std::uint64_t catalog_changes = 0;

    std::uint64_t second_hits = 0;     ///< misses and refreshes that the second level answered
    std::uint64_t second_misses = 0;   ///< that it was asked for in vain
    std::uint64_t second_outdated = 0; ///< of those, found there but not known to be current
    std::uint64_t second_refused = 0;  ///< of those, found there, but damaged or not of this cache
    std::uint64_t second_kept = 0;     ///< results handed to it
};

} // namespace pgcoro
