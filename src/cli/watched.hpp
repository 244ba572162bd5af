/// What one look of `pgcoro monitor` saw, and its shapes: a screen, a line, a JSON object.
#pragma once

#include "cli/terminal.hpp"

#include <pgcoro/observe/alerts.hpp>
#include <pgcoro/observe/server_view.hpp>
#include <pgcoro/pool/pool.hpp>

#include <boost/json/object.hpp>

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace pgcoro::cli
{

struct watched
{
    double time = 0;                               ///< since 1970, by this machine's clock
    std::string failure;                           ///< why the server did not answer; empty when it did
    server_view view;                              ///< of the last answer
    std::optional<double> transactions_per_second; ///< nothing at the first look
    pool_stats pool;                               ///< of the watcher's own connections

    bool answered() const { return failure.empty(); }
    double longest_query() const { return view.long_queries.empty() ? 0 : view.long_queries.front().seconds; }
    double connection_use() const; ///< of those that are not reserved, 0 to 1
};

/// A change of an alert, as it is told.
struct told_alert
{
    double time;
    alert what;
    alert_change change;
};

/// "14:03:59", local time.
std::string clock_time(double since_1970);

std::string one_line(const watched& w);
text_line one_line(const told_alert& a);
boost::json::object to_json(const watched& w, const std::vector<alert>& active);
boost::json::object to_json(const told_alert& a);

/// Lines of at most `width` characters, colours aside; at most `height` of them.
std::vector<text_line> screen_of(const watched& w, const std::string& target,
                                 const std::vector<alert>& active, const std::deque<told_alert>& recent,
                                 std::size_t width, std::size_t height);

} // namespace pgcoro::cli
