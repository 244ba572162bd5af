#pragma once

#include "observe/shard.hpp"

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/cluster/cluster.hpp>
#include <pgcoro/observe/metrics.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>
#include <pgcoro/resilience/retry_budget.hpp>

#include <functional>
#include <list>
#include <map>

namespace pgcoro
{

struct metrics::impl
{
    explicit impl(metrics_options o)
        : options(std::move(o))
        , names(options.max_series)
        , all(names)
    {}

    const metrics_options options;
    const std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
    detail::catalog names;
    detail::shards all;

    struct watched_pool
    {
        std::string name;
        std::string database;
        std::size_t size;
        std::size_t max_overflow;
        std::function<std::optional<pool_stats>()> probe;
    };
    struct watched_cluster
    {
        std::string name;
        std::string policy;
        std::function<std::optional<cluster_stats>()> probe;
    };
    // What is counted from the beginning, and what is asked when a snapshot is made.
    mutable std::mutex mutex;
    std::vector<watched_pool> pools;
    std::map<std::string, breaker_figures, std::less<>> breakers;
    std::list<const circuit_breaker*> watched_breakers;
    std::list<std::pair<std::string, retry_budget*>> budgets;
    std::list<std::pair<std::string, const query_cache*>> caches;
    std::vector<watched_cluster> clusters;

    void add_state(metrics_snapshot& to) const;
};

} // namespace pgcoro
