/// What a look at a server found, as a table for people and as JSON (share/report.schema.json).
#pragma once

#include "cli/exit_codes.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::cli
{

enum class severity { ok, info, unknown, warning, critical };

/// "ok", "info" …
std::string_view to_string(severity s) noexcept;
color color_of(severity s) noexcept;

/// One thing that was looked at.
struct check
{
    std::string name;
    severity level = severity::ok;
    std::string message;             ///< what was found, with its figure
    std::optional<double> value;     ///< the figure
    std::optional<double> threshold; ///< from which it is not ok
    std::string unit = {};           ///< of both
    std::string advice = {};         ///< what to do
    std::string command = {};        ///< the command, or the SQL, that mends it
};

/// All of it.
struct report
{
    std::string title;  ///< "pgcoro health"
    std::string target; ///< where, as whom; never the password
    std::vector<check> checks;

    // The figures that every report has; what is not known is null in JSON.
    std::optional<double> query_performance_ms; ///< the 95th percentile of a round trip
    std::optional<double> availability;         ///< share of the probes that were answered
    std::string circuit_breaker_state = "closed";
    boost::json::object more; ///< further metrics

    void add(check c) { checks.push_back(std::move(c)); }
    severity worst() const;
    std::string_view status() const; ///< HEALTHY, DEGRADED, UNHEALTHY or UNKNOWN
    std::string message() const;     ///< the status in a sentence
    exit_code code() const;
};

boost::json::object to_json(const report& r);
void print(terminal& out, const report& r);

} // namespace pgcoro::cli
