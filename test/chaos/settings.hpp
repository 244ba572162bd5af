#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace chaos
{

/// What the command line says.
struct settings
{
    std::chrono::duration<double> duration{60};
    std::uint32_t seed = 0;
    std::size_t faults = 0; ///< ends after so many; 0: after the duration
    std::chrono::milliseconds quiet{1000};
    std::vector<std::string> kinds; ///< none but these; empty: all
    bool json = false;
};

} // namespace chaos
