#include "cache/eviction.hpp"

#include <algorithm>
#include <bit>

namespace pgcoro::detail
{

using segment = evictable::segment;

eviction::eviction(cache_eviction kind, std::size_t max_bytes, std::size_t max_entries)
    : kind_(kind)
    , least_weight_((max_bytes + max_entries - 1) / max_entries)
    , window_(kind == cache_eviction::lru ? max_bytes : max_bytes / 100)
    , main_(max_bytes - window_)
    , protected_(main_ / 5 * 4)
    , sketch_(kind == cache_eviction::lru ? 0 : max_entries)
{}

void eviction::asked(std::uint64_t hash) noexcept
{
    if (kind_ == cache_eviction::tiny_lfu) sketch_.record(hash);
}

void eviction::put(evictable& e, segment where) noexcept
{
    e.in_ = where;
    part_of(e).order.push_back(e);
    part_of(e).weight += e.weight_;
}

void eviction::remove(evictable& e) noexcept
{
    part_of(e).order.erase(queue::s_iterator_to(e));
    part_of(e).weight -= e.weight_;
}

void eviction::used(evictable& e) noexcept
{
    auto where = e.in_ == segment::probation ? segment::main : e.in_;
    remove(e);
    put(e, where);
    auto& kept = parts_[static_cast<int>(segment::main)];
    while (kept.weight > protected_) {
        auto& oldest = kept.order.front();
        remove(oldest);
        put(oldest, segment::probation);
    }
}

void eviction::add(evictable& e, std::vector<evictable*>& gone)
{
    e.weight_ = std::max(e.bytes, least_weight_);
    put(e, segment::window);
    auto& window = parts_[static_cast<int>(segment::window)];
    while (window.weight > window_) leave_window(gone);
}

void eviction::leave_window(std::vector<evictable*>& gone)
{
    auto& candidate = parts_[static_cast<int>(segment::window)].order.front();
    remove(candidate);
    if (candidate.weight_ > main_) {
        gone.push_back(&candidate);
        return;
    }
    auto& probation = parts_[static_cast<int>(segment::probation)];
    auto& kept = parts_[static_cast<int>(segment::main)];
    auto total = probation.weight + kept.weight + candidate.weight_;
    auto needed = total > main_ ? total - main_ : 0;
    std::size_t freed = 0;
    std::uint64_t lost = 0;
    auto mine = worth(candidate);
    auto first = gone.size();
    for (auto* from : {&probation, &kept})
        for (auto i = from->order.begin(); i != from->order.end() && freed < needed && lost < mine; ++i) {
            freed += i->weight_;
            lost += worth(*i);
            gone.push_back(&*i);
        }
    if (needed > 0 && lost >= mine) {
        gone.resize(first);
        gone.push_back(&candidate);
        return;
    }
    for (auto i = first; i < gone.size(); ++i) remove(*gone[i]);
    put(candidate, segment::probation);
}

std::uint64_t eviction::worth(const evictable& e) const noexcept
{
    auto tens_of_us = static_cast<std::uint64_t>(e.cost.count()) / 10'000;
    return sketch_.estimate(e.hash) * (1 + std::bit_width(tens_of_us));
}

} // namespace pgcoro::detail
