/// Which server, and how it is asked.
#pragma once

#include "cli/settings.hpp"

#include <pgcoro/connection/options.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <vector>

namespace pgcoro::cli
{

/// `--url`, else DATABASE_URL, else libpq's PG* variables. Sessions bear the name "pgcoro" and the command's,
/// and have the server's own time limits: what they are is one of the things looked at, so that whoever uses
/// them bounds them by `within`. Throws `std::invalid_argument`.
connection_options target_of(const common_settings& s, std::string_view command);

std::chrono::milliseconds timeout_of(const common_settings& s);

/// Returns the seconds to connect in: those of `--timeout`; else `connect_timeout` of the connection string, the service
/// file or the environment, an hour at most; else the default. Throws `std::invalid_argument`.
double effective_timeout(const common_settings& s);

/// What libpq makes of a parameter, its environment, service file and defaults included.
std::string effective(const connection_options& o, const char* keyword);

/// "database app as alice on db.example.com port 5432".
std::string describe_target(const connection_options& o);

struct host_and_port
{
    std::string host;
    std::string port;
    bool is_socket() const { return host.empty() || host.front() == '/' || host.front() == '@'; }
};
/// The hosts that are tried, in order.
std::vector<host_and_port> hosts_of(const connection_options& o);

/// The same options for one of them.
connection_options only(const connection_options& o, const host_and_port& h);

/// Whether `work` ended in time; what it throws is thrown. Else it is cancelled.
boost::asio::awaitable<bool> within(std::chrono::milliseconds limit, boost::asio::awaitable<void> work);

} // namespace pgcoro::cli
