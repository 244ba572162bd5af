#include "waiting.hpp"

#include <cstdlib>
#include <iostream>

namespace chaos
{

void give_up(const std::string& what_hangs)
{
    std::cerr << what_hangs << std::endl;
    std::_Exit(EXIT_FAILURE);
}

std::string in_seconds(clock::duration d)
{
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    auto text = std::to_string(ms % 1000);
    return std::to_string(ms / 1000) + "." + std::string(3 - text.size(), '0') + text + " s";
}

} // namespace chaos
