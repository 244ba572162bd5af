// The bound on an operation where neither server nor network says anything more.
#pragma once

#include "base/process.hpp"

#include <atomic>
#include <chrono>
#include <mutex>

#include <sys/socket.h>

namespace pgcoro::detail
{

// Cuts a connection whose operation is overdue, by shutting its socket down: whoever waits for it then reads
// the end of the stream. That is safe from any thread and with any executor, unlike cancelling a wait, and
// costs the operation two atomic writes. All functions may be called from any thread.
class socket_guard
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    // Was this process forked off since? The socket is the parent's then, and must not be shut down.
    bool foreign() const noexcept { return process_ != this_process(); }

    // The socket that is guarded from now on; -1 for none.
    void watch(int fd)
    {
        std::lock_guard lock(mutex_);
        fd_ = fd;
    }

    // An operation begins that must end by then.
    void begin(time_point deadline) noexcept
    {
        deadline_.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
    }

    // It ended; false when it was cut meanwhile.
    bool end() noexcept { return !forget(deadline_); }

    // Was the operation under way cut?
    bool is_cut() const noexcept { return deadline_.load(std::memory_order_relaxed) == was_cut; }

    // Was the socket ever shut down? The connection is of no use then, even where an answer had arrived before.
    bool is_down() const noexcept { return down_.load(std::memory_order_relaxed); }

    // From now on not even doing nothing may last longer than until then.
    void limit(time_point until) noexcept
    {
        limit_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
    }

    // That is over.
    void unlimit() noexcept { forget(limit_); }

    // Cuts the operation under way if its deadline has passed, and who does nothing beyond the limit; tells
    // whether it did.
    bool expire(time_point now)
    {
        auto seen = deadline_.load(std::memory_order_relaxed);
        if (seen == nothing) return expire_limit(now);
        if (seen == was_cut || now.time_since_epoch().count() < seen) return false;
        // An operation that ended, or was followed by another, meanwhile is not this one: leave it alone.
        if (!deadline_.compare_exchange_strong(seen, was_cut)) return false;
        shut_down();
        return true;
    }

    // Cuts whatever is under way, and the connection with it.
    void cut()
    {
        deadline_.store(was_cut);
        shut_down();
    }

private:
    using rep = time_point::rep;
    static constexpr rep nothing = 0;
    static constexpr rep was_cut = -1;

    bool expire_limit(time_point now)
    {
        auto seen = limit_.load(std::memory_order_relaxed);
        if (seen == nothing || seen == was_cut || now.time_since_epoch().count() < seen) return false;
        if (!limit_.compare_exchange_strong(seen, was_cut)) return false;
        shut_down();
        return true;
    }

    // Returns true if it was cut. Another thread may be about to shut the socket down then: it counts as shut down already.
    bool forget(std::atomic<rep>& until) noexcept
    {
        bool cut = until.exchange(nothing, std::memory_order_relaxed) == was_cut;
        if (cut) down_.store(true, std::memory_order_relaxed);
        return cut;
    }

    void shut_down()
    {
        if (foreign()) return;
        down_.store(true, std::memory_order_relaxed);
        std::lock_guard lock(mutex_);
        if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
    }

    const std::uint32_t process_ = this_process_watched();
    std::atomic<rep> deadline_{nothing};
    std::atomic<rep> limit_{nothing};
    std::atomic<bool> down_{false};
    std::mutex mutex_;
    int fd_ = -1;
};

} // namespace pgcoro::detail
