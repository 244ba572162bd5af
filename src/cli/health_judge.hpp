/// From what the server says of itself to checks; no I/O.
#pragma once

#include "cli/probe.hpp"
#include "cli/report.hpp"

#include <pgcoro/observe/server_view.hpp>

#include <map>
#include <string>

namespace pgcoro::cli
{

/// Thresholds; above `warning` it is one, above `critical` the other.
struct limits
{
    double warning;
    double critical;
    severity judge(double value) const
    {
        return value > critical ? severity::critical : value > warning ? severity::warning : severity::ok;
    }
};

check judge_connect(double milliseconds);
check judge_round_trips(const probes& p);
/// Locks, long transactions, connections, hit ratio, transaction ids, replication, and what could not be
/// seen.
void judge_server(const server_view& v, report& into);
/// By name, as pg_settings shows them (with units: "30s").
void judge_settings(const std::map<std::string, std::string>& shown, report& into);

} // namespace pgcoro::cli
