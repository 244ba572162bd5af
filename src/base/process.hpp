// Recognising a forked child, which must leave its parent's connections alone.
#pragma once

#include <atomic>
#include <cstdint>

#include <pthread.h>

namespace pgcoro::detail
{

// How many forks lie between this process and the one that loaded the library.
inline std::atomic<std::uint32_t> process_forks{0};

// A number that differs between a process and its children. Costs one relaxed load.
inline std::uint32_t this_process() noexcept { return process_forks.load(std::memory_order_relaxed); }

// The same, for the constructors of what must recognise a fork later: installs the handler that counts forks.
inline std::uint32_t this_process_watched() noexcept
{
    static const bool watched = [] {
        ::pthread_atfork(nullptr, nullptr, [] { process_forks.fetch_add(1, std::memory_order_relaxed); });
        return true;
    }();
    static_cast<void>(watched);
    return this_process();
}

} // namespace pgcoro::detail
