#pragma once

#include "world.hpp"

#include <chrono>
#include <random>
#include <span>
#include <string_view>

namespace chaos
{

/// One way to mistreat the servers or the network.
struct fault_kind
{
    std::string_view name;
    std::string_view what; ///< for people
    /// Does it, and returns when it is over; blocks meanwhile.
    void (*harm)(world& w, std::mt19937& rng);
    /// Why it cannot be done here; empty when it can. Null: it always can.
    std::string_view (*obstacle)(world& w);
};

/// All of them.
std::span<const fault_kind> all_faults();

} // namespace chaos
