// What a request wants, and whether it may. No I/O: fuzzed as it stands.
#pragma once

#include "monitor/problem.hpp"

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include <optional>
#include <string>
#include <vector>

namespace pgcoro::detail
{

enum class resource {
    page,
    script,
    style,
    charts,
    description,
    health,
    health_detailed,
    database_metrics,
    dashboard,
    current,
    history,
    connections,
    cache,
    transactions,
    alerts,
    database_health,
    prometheus,
    events,
    invalidate_tag,
    invalidate_pattern,
    invalidate_all,
};

// A request that is in order.
struct api_call
{
    resource what = resource::page;
    // Of the history: seconds since 1970, and seconds.
    std::optional<double> from;
    std::optional<double> to;
    double step = 0;
    std::string value; // the tag or the pattern to invalidate
};

// Who may ask.
struct admission
{
    std::string token;
    std::vector<std::string> hosts;
    bool allow_invalidation = false;
};

using http_request = boost::beast::http::request<boost::beast::http::string_body>;

// Throws `problem`.
api_call understand(const http_request& r, const admission& who);

// "GET /health" and so on for all there are, as the API's description must have them.
std::vector<std::string> all_routes();

} // namespace pgcoro::detail
