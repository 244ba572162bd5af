#pragma once

#include <pgcoro/resilience/circuit_breaker.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <variant>
#include <vector>

namespace pgcoro::detail
{

struct call_counts
{
    int calls = 0;
    int failures = 0;
    int slow = 0;

    void add(bool failed, bool was_slow, int sign = 1)
    {
        calls += sign;
        failures += failed ? sign : 0;
        slow += was_slow ? sign : 0;
    }
};

/// The calls that a closed breaker judges by: the last so many, or those of the last so long.
class breaker_window
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    explicit breaker_window(const std::variant<count_window, time_window>& kind);

    void add(bool failed, bool slow, time_point now);
    call_counts counts(time_point now) const;
    void clear();

private:
    // The last calls in a ring, and their sum.
    struct ring
    {
        struct call
        {
            bool failed;
            bool slow;
        };
        std::size_t capacity;
        std::vector<call> calls;
        std::size_t oldest = 0;
        call_counts sum;
    };

    // Time in slices of a tenth of the window: a call is forgotten with its slice.
    struct slices
    {
        static constexpr int count = 10;
        struct slice
        {
            std::int64_t number = -1; // of the slice in time
            call_counts sum;
        };
        std::chrono::nanoseconds width;
        std::array<slice, count> last;

        std::int64_t number(time_point t) const;
    };

    static std::variant<ring, slices> make(const std::variant<count_window, time_window>& kind);

    std::variant<ring, slices> calls_;
};

} // namespace pgcoro::detail
