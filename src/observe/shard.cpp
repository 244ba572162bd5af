#include "observe/shard.hpp"

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

std::atomic<std::uint64_t> next_id{1};

// The shards that this thread counts in.
struct taken_shards
{
    struct entry
    {
        std::uint64_t id;
        std::shared_ptr<shard> where;
    };

    std::uint64_t last_id = 0;
    shard* last = nullptr;
    std::vector<entry> all;

    ~taken_shards()
    {
        // What was counted is seen by whoever takes it over.
        for (auto& e : all) e.where->taken.store(false, std::memory_order_release);
    }
};

thread_local taken_shards own;

} // namespace

shards::shards(const catalog& names)
    : id_(next_id.fetch_add(1, std::memory_order_relaxed))
    , names_(names)
{}

shards::~shards()
{
    for (auto& s : all_) s->orphaned.store(true, std::memory_order_relaxed);
}

shard& shards::mine()
{
    if (own.last_id == id_) return *own.last;
    auto& s = take();
    own.last = &s;
    own.last_id = id_;
    return s;
}

shard& shards::take()
{
    for (auto& e : own.all)
        if (e.id == id_) return *e.where;
    std::erase_if(own.all, [](auto& e) { return e.where->orphaned.load(std::memory_order_relaxed); });
    own.last_id = 0;

    std::lock_guard lock(mutex_);
    for (auto& s : all_) {
        bool free = false;
        if (s->taken.compare_exchange_strong(free, true, std::memory_order_acquire)) {
            own.all.push_back({id_, s});
            return *s;
        }
    }
    auto made = std::make_shared<shard>(names_);
    all_.push_back(made);
    own.all.push_back({id_, made});
    return *made;
}

std::vector<std::shared_ptr<const shard>> shards::all() const
{
    std::lock_guard lock(mutex_);
    return {all_.begin(), all_.end()};
}

} // namespace pgcoro::detail
