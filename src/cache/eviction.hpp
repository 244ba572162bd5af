// Who stays when room is needed: W-TinyLFU, or plain LRU for comparison and for who wants it.
//
// A newcomer starts in a small window (LRU). Who leaves the window competes with those who would have to go
// for it from the main part (LRU in two segments): it gets in if it is worth more than they are together.
// Worth is how often it was asked for lately, times the logarithm of what it took. Weighing one against
// several is from Einziger, Eytan, Friedman, Manes: "Lightweight Robust Size Aware Cache Management", ACM
// Transactions on Storage 18(3), 2022.
#pragma once

#include "cache/frequency_sketch.hpp"

#include <pgcoro/cache/options.hpp>

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgcoro::detail
{

class evictable : public boost::intrusive::list_base_hook<>
{
public:
    enum class segment : std::uint8_t { window, probation, main };

    std::uint64_t hash = 0;
    std::size_t bytes = 0;
    std::chrono::nanoseconds cost{}; // what it took to get

private:
    friend class eviction;
    segment in_ = segment::window;
    std::size_t weight_ = 0;
};

class eviction
{
public:
    eviction(cache_eviction kind, std::size_t max_bytes, std::size_t max_entries);

    // Somebody asks for the key, be it there or not.
    void asked(std::uint64_t hash) noexcept;
    // It is there, and used.
    void used(evictable& e) noexcept;
    // Takes it in. Those who have to go for it, maybe the newcomer itself, are taken out and listed.
    void add(evictable& e, std::vector<evictable*>& gone);
    void remove(evictable& e) noexcept;

private:
    using queue = boost::intrusive::list<evictable, boost::intrusive::constant_time_size<false>>;
    struct part
    {
        queue order; // the next to go in front
        std::size_t weight = 0;
    };

    void put(evictable& e, evictable::segment where) noexcept;
    part& part_of(const evictable& e) noexcept { return parts_[static_cast<int>(e.in_)]; }
    void leave_window(std::vector<evictable*>& gone);
    std::uint64_t worth(const evictable& e) const noexcept;

    cache_eviction kind_;
    std::size_t least_weight_; // an entry counts as so many bytes at least, so that one bound holds for both
    std::size_t window_;
    std::size_t main_;
    std::size_t protected_;
    frequency_sketch sketch_;
    part parts_[3];
};

} // namespace pgcoro::detail
