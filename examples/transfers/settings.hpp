#pragma once

#include <chrono>
#include <string>

namespace transfers
{

/// What the command line says.
struct settings
{
    std::chrono::seconds duration{12};
    int callers = 64;
    int pool_size = 8;
    int max_overflow = 8;
    std::string url; ///< of the user's own server; empty: a private one, which is mistreated
    bool json = false;
};

} // namespace transfers
