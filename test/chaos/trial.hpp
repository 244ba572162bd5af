#pragma once

#include "faults.hpp"
#include "findings.hpp"
#include "settings.hpp"
#include "watch.hpp"
#include "world.hpp"

#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace chaos
{

/// A cluster and its load from the first connection to the last, on an I/O context of their own, and the
/// faults meanwhile.
class trial
{
public:
    static constexpr std::chrono::seconds recovery_limit{30};

    /// The world must outlive it. `tell` gets a line after each fault.
    trial(world& w, const settings& s, std::function<void(const std::string&)> tell);

    /// Runs for so long, or so many faults; with none of these kinds it is quiet.
    findings run(const std::vector<const fault_kind*>& kinds);

    /// How long one operation of this kind may last, by the options of world::cluster_options().
    static std::chrono::milliseconds bound(work kind, const pgcoro::cluster_options& o);

private:
    void mistreat(const std::vector<const fault_kind*>& kinds, watch& seen, findings& found);
    void suffer(const fault_kind& kind, watch& seen, findings& found);

    world& world_;
    const settings& settings_;
    std::function<void(const std::string&)> tell_;
    std::mt19937 rng_;
    clock::time_point begun_;
};

} // namespace chaos
