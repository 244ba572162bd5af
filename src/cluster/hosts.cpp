#include "cluster/hosts.hpp"

#include "connection/connect.hpp"

#include <stdexcept>

namespace pgcoro::detail
{

namespace
{

named_host one(const cluster_options& options, const endpoint& e)
{
    auto how = options.pool.connection;
    auto set = [&](const char* keyword, const std::string& value) {
        how.parameters.erase(keyword);
        if (!value.empty()) how.parameters[keyword] = value;
    };
    auto port = e.port.empty() ? std::string("5432") : e.port;
    set("host", e.host);
    set("hostaddr", e.hostaddr);
    set("port", port);
    set("target_session_attrs", "any"); // roles are asked for, and change
    how.parameters.erase("load_balance_hosts");
    auto name = e.host.empty() ? (e.hostaddr.empty() ? std::string("local") : e.hostaddr) : e.host;
    return {name + ':' + port, std::move(how)};
}

} // namespace

named_host host_named(const cluster_options& options, std::string_view text)
{
    endpoint e;
    auto colon = text.rfind(':');
    bool bracketed = !text.empty() && text.front() == '[';
    if (bracketed) {
        auto end = text.find(']');
        bool whole = end != text.npos && (end + 1 == text.size() || text[end + 1] == ':');
        if (!whole)
            throw std::invalid_argument("cluster_options.hosts: '" + std::string(text) +
                                        "' is no [IPv6 address]:port");
        e.host = text.substr(1, end - 1);
        colon = end + 1 == text.size() ? text.npos : end + 1;
    } else {
        e.host = text.substr(0, colon);
    }
    if (colon != text.npos) e.port = text.substr(colon + 1);
    if (e.host.empty())
        throw std::invalid_argument("cluster_options.hosts: '" + std::string(text) + "' names no host");
    conninfo check{{"host", e.host}, {"port", e.port}};
    endpoints_of(check); // throws for a port that is none
    return one(options, e);
}

std::vector<named_host> hosts_of(const cluster_options& options)
{
    std::vector<named_host> found;
    found.reserve(options.hosts.size());
    for (auto& text : options.hosts) found.push_back(host_named(options, text));
    if (options.hosts.empty())
        for (auto& e : endpoints_of(complete_conninfo(options.pool.connection.parameters)))
            found.push_back(one(options, e));
    return found;
}

} // namespace pgcoro::detail
