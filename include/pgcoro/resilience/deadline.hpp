#pragma once

#include <pgcoro/detail/time.hpp>
#include <pgcoro/export.hpp>

#include <chrono>
#include <compare>

namespace PGCORO_API pgcoro
{

/// A moment by which work is to be done, or none. One value passes down through all that the work consists
/// of (waiting for a connection, connecting, statements, retries and their sleeps), so that the parts
/// together keep to it. On the steady clock: a changed system time moves no deadline.
///
/// A plain value; the default is never().
class deadline
{
public:
    using clock = std::chrono::steady_clock;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<clock, duration>;

    constexpr deadline() noexcept = default;

    /// No deadline: does not expire.
    static constexpr deadline never() noexcept { return {}; }

    /// At that moment.
    static constexpr deadline at(time_point when) noexcept
    {
        deadline d;
        d.when_ = when;
        return d;
    }

    /// `wait` from `now`. A duration too long to count gives never(); zero or less has expired already.
    template <class Rep, class Period>
    static constexpr deadline after(std::chrono::duration<Rep, Period> wait,
                                    time_point now = clock::now()) noexcept
    {
        return at(detail::time_after(now, wait));
    }

    constexpr bool is_never() const noexcept { return when_ == time_point::max(); }

    /// The moment; `time_point::max()` for never().
    constexpr time_point time() const noexcept { return when_; }

    /// What is left: zero when it has expired, `duration::max()` for never().
    constexpr duration remaining(time_point now = clock::now()) const noexcept
    {
        if (is_never()) return duration::max();
        if (expired(now)) return duration::zero();
        // Moments before the clock's epoch can be further apart than a duration can say.
        const auto from = now.time_since_epoch();
        const auto to = when_.time_since_epoch();
        if (from < duration::zero() && to > duration::max() + from) return duration::max();
        return to - from;
    }

    /// Has its moment come?
    constexpr bool expired(time_point now = clock::now()) const noexcept
    {
        return !is_never() && when_ <= now;
    }

    /// The one that comes first.
    friend constexpr deadline earlier(deadline a, deadline b) noexcept { return b < a ? b : a; }

    /// In order of time; never() is last.
    friend constexpr auto operator<=>(const deadline&, const deadline&) noexcept = default;

private:
    time_point when_ = time_point::max();
};

} // namespace pgcoro
