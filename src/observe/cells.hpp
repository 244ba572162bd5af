// Counters that one thread writes and others read. Without a read-modify-write: there is one writer.
#pragma once

#include <pgcoro/observe/histogram.hpp>
#include <pgcoro/observer/observer.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <new>
#include <string>

namespace pgcoro::detail
{

class counter
{
public:
    void add(std::uint64_t n = 1) noexcept { set(get() + n); }
    void raise_to(std::uint64_t n) noexcept
    {
        if (n > get()) set(n);
    }
    void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

// A histogram in the making. Its buckets come in groups, when there is something to count in them.
class histogram_cell
{
public:
    histogram_cell() = default;
    histogram_cell(const histogram_cell&) = delete;
    histogram_cell& operator=(const histogram_cell&) = delete;
    ~histogram_cell()
    {
        for (auto& g : groups_) delete g.load(std::memory_order_relaxed);
    }

    void record(std::chrono::nanoseconds value) noexcept
    {
        auto ns = value.count() > 0 ? static_cast<std::uint64_t>(value.count()) : 0;
        auto i = buckets::index(ns);
        auto& at = groups_[i / buckets::per_group];
        auto* g = at.load(std::memory_order_relaxed);
        if (!g) {
            g = new (std::nothrow) group;
            if (!g) return; // not counted at all, so that the figures fit together
            at.store(g, std::memory_order_release);
        }
        (*g)[i % buckets::per_group].add();
        count_.add();
        sum_.add(ns);
        max_.raise_to(ns);
        if (ns < min_.load(std::memory_order_relaxed)) min_.store(ns, std::memory_order_relaxed);
    }

    void add_to(histogram& sum) const
    {
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            auto* counts = groups_[g].load(std::memory_order_acquire);
            if (!counts) continue;
            std::array<std::uint64_t, buckets::per_group> copy;
            for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = (*counts)[i].get();
            sum.add(g * buckets::per_group, copy);
        }
        sum.add(count_.get(), sum_.get(), min_.load(std::memory_order_relaxed), max_.get());
    }

private:
    using group = std::array<counter, buckets::per_group>;
    std::array<std::atomic<group*>, buckets::groups> groups_{};
    counter count_;
    counter sum_;
    counter max_;
    std::atomic<std::uint64_t> min_{UINT64_MAX};
};

struct query_cell
{
    histogram_cell duration;
    counter errors;
    counter slow;
    counter waiting;
    counter sending;
    counter server;
    counter receiving;
    counter rows;
    counter bytes_sent;
    counter bytes_received;
    counter repeated;
    counter longest_loop;

    // For errors, which are rare.
    mutable std::mutex mutex;
    std::map<std::string, std::uint64_t, std::less<>> by_sqlstate;
};

struct transaction_cell
{
    counter begun;
    counter committed;
    counter rolled_back;
    counter unknown;
    counter resolved;
    counter attempts;
    counter retries;
    counter serialization_failures;
    counter deadlocks;
    counter connections_lost;
    counter other_failures;
    counter waiting;
    histogram_cell duration;
};

struct pool_cell
{
    counter acquired;
    counter queued;
    counter created;
    counter create_failures;
    counter cleanups;
    counter leaks;
    std::array<counter, static_cast<std::size_t>(close_reason::pool_closed) + 1> closed;
    histogram_cell wait;
    histogram_cell use;
    histogram_cell create;

    mutable std::mutex mutex; // for refusals, which are rare
    std::map<std::string, std::uint64_t, std::less<>> refused;
};

} // namespace pgcoro::detail
