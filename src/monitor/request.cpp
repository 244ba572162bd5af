#include "monitor/request.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <span>
#include <string_view>

namespace pgcoro::detail
{

namespace http = boost::beast::http;
namespace urls = boost::urls;

namespace
{

using parameters = std::map<std::string, std::string, std::less<>>;

struct route
{
    std::string_view path;
    resource what;
    bool open = false; // to who has no token
    bool post = false;
    std::array<std::string_view, 3> takes{}; // parameters
};

constexpr std::array routes{
    route{.path = "/", .what = resource::page, .open = true},
    route{.path = "/dashboard.js", .what = resource::script, .open = true},
    route{.path = "/dashboard.css", .what = resource::style, .open = true},
    route{.path = "/chart.js", .what = resource::charts, .open = true},
    route{.path = "/openapi.json", .what = resource::description, .open = true},
    route{.path = "/health", .what = resource::health, .open = true},
    route{.path = "/health/detailed", .what = resource::health_detailed},
    route{.path = "/metrics", .what = resource::prometheus},
    route{.path = "/api/metrics/database", .what = resource::database_metrics},
    route{.path = "/api/v1/database/dashboard", .what = resource::dashboard},
    route{.path = "/api/v1/database/metrics/current", .what = resource::current},
    route{.path = "/api/v1/database/metrics/history",
          .what = resource::history,
          .takes = {"from", "to", "step"}},
    route{.path = "/api/v1/database/connections/status", .what = resource::connections},
    route{.path = "/api/v1/database/cache/metrics", .what = resource::cache},
    route{.path = "/api/v1/database/transactions/stats", .what = resource::transactions},
    route{.path = "/api/v1/database/alerts", .what = resource::alerts},
    route{.path = "/api/v1/database/health", .what = resource::database_health},
    route{.path = "/api/v1/database/events", .what = resource::events},
    route{.path = "/api/v1/database/cache/invalidate/tag",
          .what = resource::invalidate_tag,
          .post = true,
          .takes = {"value"}},
    route{.path = "/api/v1/database/cache/invalidate/pattern",
          .what = resource::invalidate_pattern,
          .post = true,
          .takes = {"value"}},
    route{.path = "/api/v1/database/cache/invalidate/all", .what = resource::invalidate_all, .post = true},
};

constexpr std::string_view bearer = "Bearer ";

// Of the header's fields those that were not sent are empty.
std::string_view field(const http_request& r, http::field name)
{
    auto text = r[name];
    return {text.data(), text.size()};
}

// What was sent, for an error's text: its beginning, with what is not plain text left out of it.
std::string in_quotes(std::string_view sent)
{
    std::string text = "'";
    for (auto c : sent.substr(0, 100)) text += c >= ' ' && c <= '~' ? c : '?';
    return text + "'";
}

// Without the port.
std::string_view host_name(std::string_view host)
{
    if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
    return host.substr(0, host.find(':'));
}

void check_host(const http_request& r, const admission& who)
{
    if (r.version() >= 11 && r.count(http::field::host) != 1)
        throw problem(http::status::bad_request, "a request of HTTP/1.1 has one Host");
    if (!who.token.empty() || r.count(http::field::host) == 0) return;
    auto host = host_name(field(r, http::field::host));
    boost::system::error_code not_an_address;
    boost::asio::ip::make_address(std::string(host), not_an_address);
    if (host == "localhost" || !not_an_address) return;
    if (std::find(who.hosts.begin(), who.hosts.end(), host) != who.hosts.end()) return;
    throw problem(http::status::misdirected_request,
                  "asked under the name " + in_quotes(host) +
                      ", which is none of this monitor's: name it in monitor_options::hosts");
}

void check_token(const http_request& r, const admission& who)
{
    if (who.token.empty()) return;
    auto sent = field(r, http::field::authorization);
    if (!sent.starts_with(bearer))
        throw problem(http::status::unauthorized, "needs the header 'Authorization: Bearer …'");
    sent.remove_prefix(bearer.size());
    if (sent.size() != who.token.size() || CRYPTO_memcmp(sent.data(), who.token.data(), sent.size()) != 0)
        throw problem(http::status::unauthorized, "the bearer token is not the right one");
}

// A form on a foreign web page may send a POST here without being able to read the answer.
void check_origin(const http_request& r)
{
    auto origin = field(r, http::field::origin);
    if (origin.empty()) return;
    auto begin = origin.find("://");
    if (begin == origin.npos || origin.substr(begin + 3) != field(r, http::field::host))
        throw problem(http::status::forbidden, "comes from a page of another origin");
}

urls::url_view parse_target(const http_request& r)
{
    auto text = r.target(); // each Boost has another string_view
    auto origin_form = urls::parse_origin_form({text.data(), text.size()});
    if (origin_form) return *origin_form;
    auto absolute = urls::parse_absolute_uri({text.data(), text.size()});
    if (absolute) return *absolute;
    throw problem(http::status::bad_request, "the request's target is none: expected a path and a query");
}

parameters parameters_of(const urls::url_view& target, const route& to)
{
    parameters all;
    for (auto p : target.params()) {
        std::string name = p.key;
        if (name.empty() || std::find(to.takes.begin(), to.takes.end(), name) == to.takes.end())
            throw problem(http::status::bad_request, "does not know the parameter " + in_quotes(name));
        if (!all.emplace(name, p.value).second)
            throw problem(http::status::bad_request, "the parameter '" + name + "' comes twice");
    }
    return all;
}

std::optional<double> number(const parameters& all, std::string_view name, double most)
{
    auto it = all.find(name);
    if (it == all.end()) return std::nullopt;
    auto& text = it->second;
    double value = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= most))
        throw problem(http::status::bad_request, "the parameter '" + std::string(name) + "' is " +
                                                     in_quotes(text) + ": expected a number from 0 to " +
                                                     std::to_string(static_cast<long long>(most)));
    return value;
}

void read_range(api_call& c, const parameters& all)
{
    constexpr double most = 1e11; // the year 5138
    c.from = number(all, "from", most);
    c.to = number(all, "to", most);
    c.step = number(all, "step", 86'400).value_or(0);
    if (c.from && c.to && *c.from > *c.to)
        throw problem(http::status::bad_request, "the parameter 'from' is later than 'to'");
}

void read_value(api_call& c, const parameters& all)
{
    auto it = all.find("value");
    if (it == all.end() || it->second.empty())
        throw problem(http::status::bad_request, "needs the parameter 'value': what to invalidate");
    if (it->second.size() > 1'000)
        throw problem(http::status::bad_request, "the parameter 'value' is longer than 1,000 bytes");
    c.value = it->second;
}

const route& find_route(std::string_view path)
{
    auto it = std::find_if(routes.begin(), routes.end(), [&](auto& each) { return each.path == path; });
    if (it == routes.end())
        throw problem(http::status::not_found, "there is nothing here; /openapi.json says what there is");
    return *it;
}

void check_method(const http_request& r, const route& to)
{
    bool right = to.post ? r.method() == http::verb::post
                         : r.method() == http::verb::get || r.method() == http::verb::head;
    if (right) return;
    std::string allow = to.post ? "POST" : "GET, HEAD";
    throw problem(http::status::method_not_allowed, "takes " + allow + " only", allow);
}

} // namespace

api_call understand(const http_request& r, const admission& who)
{
    check_host(r, who);
    auto target = parse_target(r);
    std::string path = target.path();
    auto& to = find_route(path);
    if (!to.open) check_token(r, who);
    check_method(r, to);
    auto all = parameters_of(target, to);
    api_call c;
    c.what = to.what;
    if (to.post) {
        check_origin(r);
        if (!who.allow_invalidation)
            throw problem(http::status::forbidden,
                          "this monitor only reads: monitor_options::allow_invalidation is off");
    }
    if (c.what == resource::history) read_range(c, all);
    if (c.what == resource::invalidate_tag || c.what == resource::invalidate_pattern) read_value(c, all);
    return c;
}

std::vector<std::string> all_routes()
{
    std::vector<std::string> all;
    all.reserve(std::size(routes));
    for (auto& each : routes) all.push_back((each.post ? "POST " : "GET ") + std::string(each.path));
    return all;
}

} // namespace pgcoro::detail
