#include "resilience/breaker_window.hpp"

#include <algorithm>

namespace pgcoro::detail
{

breaker_window::breaker_window(const std::variant<count_window, time_window>& kind)
    : calls_(make(kind))
{}

std::variant<breaker_window::ring, breaker_window::slices> breaker_window::make(
    const std::variant<count_window, time_window>& kind)
{
    if (auto* last = std::get_if<count_window>(&kind)) {
        ring r{};
        r.capacity = static_cast<std::size_t>(last->calls);
        r.calls.reserve(r.capacity);
        return r;
    }
    slices s{};
    s.width = std::max(std::get<time_window>(kind).length / slices::count, std::chrono::nanoseconds(1));
    return s;
}

void breaker_window::add(bool failed, bool slow, time_point now)
{
    if (auto* r = std::get_if<ring>(&calls_)) {
        r->sum.add(failed, slow);
        if (r->calls.size() < r->capacity) {
            r->calls.push_back({failed, slow});
            return;
        }
        auto& oldest = r->calls[r->oldest];
        r->sum.add(oldest.failed, oldest.slow, -1);
        oldest = {failed, slow};
        r->oldest = (r->oldest + 1) % r->capacity;
        return;
    }
    auto& s = std::get<slices>(calls_);
    const auto number = s.number(now);
    auto& slice = s.last[static_cast<std::size_t>(number % slices::count)];
    if (slice.number > number) return; // it ended before what is remembered
    if (slice.number < number) slice = {number, {}};
    slice.sum.add(failed, slow);
}

call_counts breaker_window::counts(time_point now) const
{
    if (auto* r = std::get_if<ring>(&calls_)) return r->sum;
    auto& s = std::get<slices>(calls_);
    const auto newest = s.number(now);
    call_counts sum;
    for (auto& slice : s.last) {
        if (slice.number <= newest - slices::count) continue;
        sum.calls += slice.sum.calls;
        sum.failures += slice.sum.failures;
        sum.slow += slice.sum.slow;
    }
    return sum;
}

void breaker_window::clear()
{
    if (auto* r = std::get_if<ring>(&calls_)) {
        r->calls.clear();
        r->oldest = 0;
        r->sum = {};
    } else {
        std::get<slices>(calls_).last = {};
    }
}

// The steady clock's epoch is the start of the machine, so that moments are not negative; one that is counts
// as the epoch itself.
std::int64_t breaker_window::slices::number(time_point t) const
{
    return std::max<std::int64_t>(0, std::chrono::nanoseconds(t.time_since_epoch()) / width);
}

} // namespace pgcoro::detail
