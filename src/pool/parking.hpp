// Places near a thread, where a connection comes back to without the pool's lock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <utility>

namespace pgcoro::detail
{

// A thread looks at one place only, which it mostly has for itself: what it leaves there it finds again, and
// no other thread's cache is troubled. Whoever has the pool's lock may close them all, and collects what is
// there: until they are open again, everything passes by the lock.
class parking
{
public:
    using slot_id = std::uint32_t;

    // From any thread. False when the place is taken, or closed. After true nothing of this object is
    // touched: the slot may have been collected, and the pool be gone.
    bool put(slot_id slot) noexcept
    {
        auto expected = empty;
        return mine().compare_exchange_strong(expected, slot, std::memory_order_release,
                                              std::memory_order_relaxed);
    }

    // From any thread.
    std::optional<slot_id> take() noexcept
    {
        auto& near = mine();
        auto found = near.load(std::memory_order_relaxed);
        if (found >= closed ||
            !near.compare_exchange_strong(found, empty, std::memory_order_acquire, std::memory_order_relaxed))
            return std::nullopt;
        return found;
    }

    // With the pool's lock, as all below.
    void open() noexcept
    {
        if (std::exchange(open_, true)) return;
        for (auto& p : in_use()) p.slot.store(empty, std::memory_order_relaxed);
    }
    template <class Collect>
    void close(Collect collect)
    {
        if (!std::exchange(open_, false)) return;
        for (auto& p : in_use())
            if (auto found = p.slot.exchange(closed, std::memory_order_acquire); found < closed)
                collect(found);
    }
    // The number of slots that are parked. A slot that moves to another place during the count counts once.
    std::size_t count() const noexcept
    {
        std::array<slot_id, most> seen;
        auto end = seen.begin();
        for (auto& p : places_)
            if (auto found = p.slot.load(std::memory_order_relaxed); found < closed) *end++ = found;
        return distinct({seen.begin(), end});
    }

    static std::size_t distinct(std::span<slot_id> slots) noexcept
    {
        std::sort(slots.begin(), slots.end());
        return static_cast<std::size_t>(std::unique(slots.begin(), slots.end()) - slots.begin());
    }

private:
    static constexpr slot_id empty = ~slot_id{0};
    static constexpr slot_id closed = empty - 1;
    static constexpr std::size_t most = 16;

    struct alignas(64) place
    {
        std::atomic<slot_id> slot{closed};
    };

    std::span<place> in_use() noexcept { return {places_.data(), count_}; }
    std::atomic<slot_id>& mine() noexcept
    {
        static std::atomic<std::size_t> threads{0};
        thread_local const std::size_t number = threads.fetch_add(1, std::memory_order_relaxed);
        return places_[number & (count_ - 1)].slot;
    }

    // Twice as many as threads can run at once, because one may be interrupted while it has a lease.
    const std::size_t count_ =
        std::min(most, std::bit_ceil(2 * std::max<std::size_t>(1, std::thread::hardware_concurrency())));
    std::array<place, most> places_;
    bool open_ = false;
};

} // namespace pgcoro::detail
