// What one thread counts in, at a time.
#pragma once

#include "observe/cells.hpp"
#include "observe/series.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pgcoro::detail
{

// The names of everything that is told apart.
struct catalog
{
    static constexpr std::size_t most_pools = 32;

    explicit catalog(std::size_t max_series)
        : statements(max_series)
        , operations(max_series)
        , transactions(max_series)
    {}
    series_names statements;
    series_names operations;
    series_names transactions;
    series_names pools{most_pools};
};

// The numbers that a thread knows of a catalog's names; as many as fit, then it forgets them all.
class known_names
{
public:
    template <class Find>
    std::size_t number_of(std::string_view name, std::size_t most, Find find)
    {
        if (auto it = numbers_.find(name); it != numbers_.end()) return it->second;
        auto n = find();
        if (numbers_.size() >= most) numbers_.clear();
        numbers_.emplace(name, n);
        return n;
    }

private:
    by_text<std::size_t> numbers_;
};

struct shard
{
    explicit shard(const catalog& names)
        : statements(names.statements.capacity())
        , operations(names.operations.capacity())
        , transactions(names.transactions.capacity())
        , pools(names.pools.capacity())
    {}

    std::atomic<bool> taken{true};     // a thread counts in it
    std::atomic<bool> orphaned{false}; // nobody will read it any more

    series<query_cell> statements;
    series<query_cell> operations;
    series<transaction_cell> transactions;
    series<pool_cell> pools;

    mutable std::mutex mutex; // for retries, which are rare
    std::map<std::string, std::uint64_t, std::less<>> retries;

    // The writer's alone.
    known_names known_statements;
    known_names known_operations;
    known_names known_transactions;
    known_names known_pools;
};

// All threads' shards for one `metrics`. It is told apart from all others that were before it by a number.
class shards
{
public:
    explicit shards(const catalog& names);
    ~shards();

    // This thread's; the first time, or after others, it takes a moment, and may throw std::bad_alloc.
    shard& mine();

    std::vector<std::shared_ptr<const shard>> all() const;

private:
    shard& take();

    const std::uint64_t id_;
    const catalog& names_;
    mutable std::mutex mutex_;
    std::vector<std::shared_ptr<shard>> all_;
};

} // namespace pgcoro::detail
