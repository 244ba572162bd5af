#pragma once

#include "patroni.hpp"

#include <span>
#include <string_view>

namespace failover
{

/// One way to take the primary away from Patroni.
struct fault_kind
{
    std::string_view name;
    std::string_view what; ///< for people
    bool changes_leader;   ///< another node must lead afterwards
    /// Does it to the leader.
    void (*harm)(const patroni& p, node& leader);
    /// Undoes it, once there is a leader. Null: nothing is to be undone.
    void (*mend)(const patroni& p, node& harmed);
};

/// All of them.
std::span<const fault_kind> all_faults();

} // namespace failover
