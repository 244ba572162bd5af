#pragma once

#include "faults.hpp"

#include "chaos/findings.hpp"
#include "integration/support/haproxy.hpp"

#include <pgcoro/pgcoro.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace failover
{

/// What the command line says.
struct settings
{
    std::chrono::duration<double> duration{180};
    std::uint32_t seed = 0;
    std::size_t faults = 0;         ///< ends after so many; 0: after the duration
    std::vector<std::string> kinds; ///< none but these; empty: all
    bool through_haproxy = false;
};

/// A cluster and its load on Patroni's nodes, while these lose their leader again and again.
class trial
{
public:
    /// From when there is a leader until every caller had success again.
    static constexpr std::chrono::seconds recovery_limit{30};

    /// `p` must outlive it. `tell` gets a line after each fault.
    trial(const patroni& p, const settings& s, std::function<void(const std::string&)> tell);

    chaos::findings run();
    /// How long there was no leader, by kind of fault: from the harm until Patroni has one. Not ours.
    const std::map<std::string_view, chaos::recoveries>& without_leader() const { return without_leader_; }

private:
    std::string hosts() const;
    pgcoro::connection_options connecting(const std::string& hosts) const;
    pgcoro::cluster_options options() const;
    void suffer(const fault_kind& kind, chaos::watch& seen, chaos::findings& found);
    void mistreat(chaos::watch& seen, chaos::findings& found);

    const patroni& patroni_;
    const settings& settings_;
    std::function<void(const std::string&)> tell_;
    std::optional<test::haproxy> proxy_;
    std::mt19937 rng_;
    std::map<std::string_view, chaos::recoveries> without_leader_;
};

} // namespace failover
