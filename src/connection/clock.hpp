#pragma once

#include <chrono>

#include <time.h>

namespace pgcoro::detail
{

using clock = std::chrono::steady_clock;

// The steady clock at the kernel's tick (some milliseconds), for a fifth of its price: for deadlines and
// ages, which the hot path asks for more than once a query.
inline std::chrono::steady_clock::time_point coarse_now() noexcept
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t); // the same time line as CLOCK_MONOTONIC, the steady clock's
    return std::chrono::steady_clock::time_point(std::chrono::seconds(t.tv_sec) +
                                                 std::chrono::nanoseconds(t.tv_nsec));
}

} // namespace pgcoro::detail
