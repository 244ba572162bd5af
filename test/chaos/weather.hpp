#pragma once

#include "integration/support/proxy.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

namespace chaos
{

/// What happens on the way between layer and server at the moment. Set from any thread.
enum class weather : std::uint8_t {
    fair,
    slow,      ///< each message comes some time later
    narrow,    ///< a few bytes at a time
    cutting,   ///< now and then a connection ends, after some byte of some message
    resetting, ///< the same with RST
    silent,    ///< whatever is said from now on is swallowed, also by connections made anew
};

/// The script of a proxy that goes by the weather.
class forecast
{
public:
    forecast(const std::atomic<weather>& now, std::uint32_t seed)
        : now_(now)
        , rng_(seed)
    {}

    std::optional<test::fault> operator()(std::string_view message);

private:
    const std::atomic<weather>& now_;
    std::mt19937 rng_; // each proxy asks on a thread of its own: one forecast each
};

} // namespace chaos
