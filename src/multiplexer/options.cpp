#include <pgcoro/multiplexer/options.hpp>

#include "resilience/text.hpp"

namespace pgcoro
{

void multiplexer_options::validate() const
{
    auto in_range = [](const char* field, auto value, decltype(value) least, decltype(value) most) {
        if (value < least || value > most)
            detail::out_of_range("multiplexer_options", field,
                                 std::to_string(least) + " to " + std::to_string(most),
                                 std::to_string(value));
    };
    in_range("connections", connections, 1, 1'000);
    in_range("max_batch", max_batch, 1, 10'000);
    in_range("max_waiting", max_waiting, 1, 1'000'000'000);
    constexpr std::chrono::milliseconds year = std::chrono::hours(24 * 365);
    in_range("timeout (ms)", timeout.count(), 0, year.count());
    in_range("slow_after (ms)", slow_after.count(), 1, year.count());
}

} // namespace pgcoro
