#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

namespace PGCORO_API pgcoro
{

class second_level;

/// How long a cached result is fresh.
enum class cache_strategy {
    lru,      ///< until room is needed, or it is invalidated
    ttl,      ///< `cache_options::ttl`
    adaptive, ///< `cache_options::adaptive`
};

/// Who goes when room is needed.
enum class cache_eviction {
    /// W-TinyLFU: what is asked for often, and took long, stays; a report that reads everything once does not
    /// flush it. Einziger, Friedman, Manes: "TinyLFU: A Highly Efficient Cache Admission Policy", ACM
    /// Transactions on Storage 13(4), 2017.
    tiny_lfu,
    lru, ///< who was asked for least recently
};

/// The adaptive strategy: `base`, times the factors that apply, then held between its bounds.
struct adaptive_ttl
{
    std::chrono::milliseconds base{300'000};
    unsigned frequent_after = 5; ///< times its statement was seen, with whatever parameters
    double frequent_factor = 2;
    std::chrono::milliseconds slow_after{1'000}; ///< what the query took
    double slow_factor = 3;
    /// The longest time for a result that depends on the clock; see `query_cache`. Also applies to the strategy `lru`.
    std::chrono::milliseconds changing_at_most{60'000};
    std::chrono::milliseconds at_least{30'000};
};

/// How a `query_cache` works. Times of 0 and less are refused but where it is said.
struct cache_options
{
    cache_strategy strategy = cache_strategy::adaptive;
    cache_eviction eviction = cache_eviction::tiny_lfu;

    std::size_t max_bytes = 64 << 20; ///< of results as libpq keeps them, keys and bookkeeping
    std::size_t max_entries = 100'000;
    /// A larger result is never kept. 0: a 16th of `max_bytes`.
    std::size_t max_entry_bytes = 0;
    /// A result that was had in less is not kept. 0 (default): all are.
    std::chrono::microseconds min_cost{0};

    std::chrono::milliseconds ttl{300'000}; ///< of strategy `ttl`
    adaptive_ttl adaptive;
    /// Most for a result without rows: it is kept, too, but what was missing may soon be there.
    std::chrono::milliseconds empty_at_most{30'000};

    /// A hit in this last part of an entry's life has it asked anew in the background, if it was hit
    /// `refresh_after_hits` times. 0: never.
    double refresh_ahead = 0.1;
    unsigned refresh_after_hits = 5;
    std::size_t max_refreshing = 8; ///< background queries at once

    /// How long the cache believes what the catalog said of a statement (its tables, its functions). A coherent cache asks
    /// again as soon as it sees that the catalog has changed.
    std::chrono::milliseconds statement_ttl{300'000};
    std::size_t max_statements = 10'000; ///< so many are remembered

    /// The cache says nothing is fresh but while it follows the database's notifications; see
    /// `query_cache::follow`.
    bool coherent = false;

    /// Where results are looked for that are not here, before the database is asked: see `second_level`.
    /// None by default.
    std::shared_ptr<second_level> second;

    time_source* time = &time_source::steady(); ///< must outlive the cache

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

/// What one call wants of the cache.
struct cache_call
{
    /// How long the result is fresh. 0 (default): the strategy says.
    std::chrono::milliseconds ttl{0};
    /// A result that is stale for no longer than this is given at once, and asked anew in the background.
    std::chrono::milliseconds stale_while_revalidate{0};
    /// A result that is stale for no longer than this is given when the database cannot be reached.
    std::chrono::milliseconds stale_if_error{0};
    /// Tags beside the tables that the statement reads. What they refer to must outlive the call.
    std::span<const std::string_view> tags;
};

static_assert(std::is_trivially_destructible_v<cache_call>); // or GCC 12 destroys it twice

} // namespace pgcoro
