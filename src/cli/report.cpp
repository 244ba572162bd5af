#include "cli/report.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cctype>

namespace pgcoro::cli
{

namespace json = boost::json;

namespace
{

json::value or_null(const std::optional<double>& figure)
{
    return figure ? json::value(*figure) : json::value(nullptr);
}

json::object to_json(const check& c)
{
    json::object o;
    o["name"] = c.name;
    o["severity"] = to_string(c.level);
    o["message"] = c.message;
    o["value"] = or_null(c.value);
    o["threshold"] = or_null(c.threshold);
    o["unit"] = c.unit;
    o["advice"] = c.advice;
    o["command"] = c.command;
    return o;
}

std::string upper(std::string_view text)
{
    std::string made(text);
    for (auto& c : made) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return made;
}

color color_of_status(severity worst) { return worst == severity::info ? color::green : color_of(worst); }

constexpr std::size_t level_width = 10;
constexpr std::size_t name_width = 22;

// Below the check, each line of the text as one.
void print_under(terminal& out, std::string_view text, std::optional<color> painted = std::nullopt)
{
    const std::string indent(2 + level_width + name_width, ' ');
    for (std::size_t at = 0; at <= text.size();) {
        auto end = std::min(text.find('\n', at), text.size());
        auto part = text.substr(at, end - at);
        out.write(indent + (painted ? paint(*painted, part) : text_line(part)));
        at = end + 1;
    }
}

} // namespace

std::string_view to_string(severity s) noexcept
{
    switch (s) {
    case severity::ok:
        return "ok";
    case severity::info:
        return "info";
    case severity::warning:
        return "warning";
    case severity::critical:
        return "critical";
    case severity::unknown:
        break;
    }
    return "unknown";
}

color color_of(severity s) noexcept
{
    switch (s) {
    case severity::ok:
        return color::green;
    case severity::info:
        return color::cyan;
    case severity::critical:
        return color::red;
    default:
        return color::yellow;
    }
}

severity report::worst() const
{
    auto most = severity::ok;
    for (auto& c : checks) most = std::max(most, c.level);
    return most;
}

std::string_view report::status() const
{
    switch (worst()) {
    case severity::critical:
        return "UNHEALTHY";
    case severity::warning:
        return "DEGRADED";
    case severity::unknown:
        return "UNKNOWN";
    default:
        return "HEALTHY";
    }
}

std::string report::message() const
{
    auto most = worst();
    if (most <= severity::info)
        return "nothing wrong was found in " + std::to_string(checks.size()) + " checks";
    auto first = std::ranges::find(checks, most, &check::level);
    auto others = std::ranges::count_if(checks, [](auto& c) { return c.level > severity::info; }) - 1;
    auto text = first->name + ": " + first->message;
    if (others > 0) text += ", and " + std::to_string(others) + " more";
    return text;
}

exit_code report::code() const
{
    switch (worst()) {
    case severity::critical:
        return exit_critical;
    case severity::warning:
        return exit_warning;
    case severity::unknown:
        return exit_unknown;
    default:
        return exit_ok;
    }
}

json::object to_json(const report& r)
{
    json::object metrics;
    metrics["query_performance_ms"] = or_null(r.query_performance_ms);
    metrics["availability"] = or_null(r.availability);
    metrics["error_rate"] = or_null(r.availability ? std::optional(1 - *r.availability) : std::nullopt);
    metrics["circuit_breaker_state"] = r.circuit_breaker_state;
    for (auto& [name, value] : r.more) metrics[name] = value;

    json::array checks;
    for (auto& c : r.checks) checks.push_back(to_json(c));
    json::object o;
    o["status"] = r.status();
    o["message"] = r.message();
    o["target"] = r.target;
    o["metrics"] = std::move(metrics);
    o["checks"] = std::move(checks);
    return o;
}

void print(terminal& out, const report& r)
{
    out.write(paint(color::bold, r.title) + ": " + paint(color_of_status(r.worst()), r.status()) + " (" +
              r.message() + ")");
    out.write(paint(color::dim, r.target));
    out.write("");
    for (auto& c : r.checks) {
        auto name = c.name.size() < name_width ? padded(c.name, name_width) : c.name + " ";
        out.write("  " + paint(color_of(c.level), padded(upper(to_string(c.level)), level_width)) + name +
                  c.message);
        if (!c.advice.empty()) print_under(out, "→ " + c.advice);
        if (!c.command.empty()) print_under(out, "$ " + c.command, color::cyan);
    }
}

} // namespace pgcoro::cli
