#include "weather.hpp"

#include <algorithm>

namespace chaos
{

using namespace std::chrono_literals;

std::optional<test::fault> forecast::operator()(std::string_view message)
{
    auto number = [&](std::size_t from, std::size_t to) {
        return std::uniform_int_distribution<std::size_t>(from, to)(rng_);
    };
    test::fault harm;
    switch (auto w = now_.load()) {
    case weather::fair:
        return std::nullopt;
    case weather::slow:
        harm.what = test::fault::delay;
        harm.time = std::chrono::milliseconds(number(1, 50));
        return harm;
    case weather::narrow:
        harm.what = test::fault::throttle;
        harm.time = 100ms; // said again with each message
        return harm;
    case weather::cutting:
    case weather::resetting:
        if (number(1, 20) > 1) return std::nullopt;
        harm.what = w == weather::cutting ? test::fault::cut : test::fault::reset;
        harm.where = number(0, 1) ? test::fault::to_client : test::fault::to_server;
        harm.after = number(
            0, harm.where == test::fault::to_server ? std::max(message.size(), std::size_t{1}) - 1 : 60);
        return harm;
    case weather::silent:
        harm.what = test::fault::drop;
        harm.time =
            10s; // libpq's cancel request waits for the end of its connection, however long that takes
        return harm;
    }
    return std::nullopt;
}

} // namespace chaos
