#pragma once

#include "faults.hpp"
#include "load.hpp"
#include "settings.hpp"
#include "watch.hpp"
#include "world.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace chaos
{

/// What one kind of fault cost, each time: from its end until every caller had success again.
struct recoveries
{
    std::vector<clock::duration> times;
    std::size_t never = 0; ///< not within `trial::recovery_limit`
};

/// What a trial found.
struct findings
{
    std::map<std::string_view, recoveries> by_kind;
    work_figures work[works];
    std::uint64_t asked = 0;
    std::uint64_t unknown = 0;
    std::uint64_t failed = 0;
    pgcoro::transaction_metrics transactions;
    std::vector<std::string> errors; ///< of transfers, the first of them
    transfers::audit books;
    std::size_t notifications = 0;
    std::size_t gaps = 0;
    std::uint64_t failovers = 0;
    std::vector<std::string> complaints; ///< all that is not as it should be, a line each
};

/// Something hangs: nothing can be cleaned up any more.
struct hang : std::runtime_error
{
    using std::runtime_error::runtime_error;
};

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
