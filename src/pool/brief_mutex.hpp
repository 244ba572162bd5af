// A mutex for what takes some tens of instructions.
#pragma once

#include "base/thread_safety.hpp"

#include <mutex>

namespace pgcoro::detail
{

// Who finds it taken looks again for a while before going to sleep: its owner is through sooner than a
// sleeper would be awake again.
class PGCORO_CAPABILITY("mutex") brief_mutex
{
public:
    void lock() PGCORO_ACQUIRE()
    {
        for (int look = 0; look < looks; ++look) {
            if (mutex_.try_lock()) return;
            for (int i = 0; i < pauses; ++i) pause();
        }
        mutex_.lock();
    }
    void unlock() PGCORO_RELEASE() { mutex_.unlock(); }

private:
    static constexpr int looks = 50; // some microseconds in all
    static constexpr int pauses = 4;

    static void pause() noexcept
    {
#if defined(__i386__) || defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }

    std::mutex mutex_;
};

} // namespace pgcoro::detail
