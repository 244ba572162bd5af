// Arithmetic on points in time that cannot overflow. The only place where a duration is added to a clock.
#pragma once

#include <pgcoro/export.hpp>

#include <chrono>

namespace PGCORO_API pgcoro
{
namespace detail
{

using steady_time = std::chrono::steady_clock::time_point;

// The duration in the unit of `To`; the nearest that `To` can express if it is too long.
template <class To, class Rep, class Period>
constexpr To saturated(std::chrono::duration<Rep, Period> wait) noexcept
{
    using wider = std::common_type_t<std::chrono::duration<Rep, Period>, std::chrono::duration<double>>;
    if (wider(wait) >= wider(std::chrono::duration<double>(To::max()))) return To::max();
    if (wider(wait) <= wider(std::chrono::duration<double>(To::min()))) return To::min();
    return std::chrono::duration_cast<To>(wait);
}

// `wait` behind `from`: time_point::max(), which means "never", if that is too far away to express.
template <class Rep, class Period>
constexpr steady_time time_after(steady_time from, std::chrono::duration<Rep, Period> wait) noexcept
{
    const auto added = saturated<steady_time::duration>(wait);
    const auto since_epoch = from.time_since_epoch();
    if (added > added.zero() && since_epoch > added.max() - added) return steady_time::max();
    if (added < added.zero() && since_epoch < added.min() - added) return steady_time::min();
    return from + added;
}

template <class Rep, class Period>
steady_time time_after(std::chrono::duration<Rep, Period> wait) noexcept
{
    return time_after(std::chrono::steady_clock::now(), wait);
}

} // namespace detail
} // namespace pgcoro
