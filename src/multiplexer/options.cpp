#include <pgcoro/multiplexer/options.hpp>

#include "resilience/text.hpp"

#include <cstdint>
#include <string>

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
    auto at_least = [](const char* field, std::chrono::milliseconds value, std::int64_t least) {
        if (value.count() < least)
            detail::out_of_range("multiplexer_options", field, "at least " + std::to_string(least),
                                 std::to_string(value.count()));
    };
    at_least("timeout (ms)", timeout, 0);
    at_least("slow_after (ms)", slow_after, 1);
}

} // namespace pgcoro
