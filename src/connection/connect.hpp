// Connecting: names resolved without blocking, hosts and addresses tried in order, each under its deadline;
// then the settings that the options ask for.
#pragma once

#include "connection/conninfo.hpp"
#include "connection/credential_schedule.hpp"
#include "connection/wire.hpp"

#include <pgcoro/connection/options.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgcoro::detail
{

// A place to connect to, as libpq is told it. `hostaddr` is empty for Unix sockets.
struct endpoint
{
    std::string host;
    std::string hostaddr;
    std::string port;

    bool is_local() const { return hostaddr.empty() && (host.empty() || host[0] == '/' || host[0] == '@'); }
    std::string describe() const
    {
        auto name = host.empty() ? (hostaddr.empty() ? std::string("local socket") : hostaddr) : host;
        if (!hostaddr.empty() && hostaddr != name) name += " (" + hostaddr + ")";
        return name + " port " + (port.empty() ? "5432" : port);
    }
};

// The lists of hosts, addresses and ports, as libpq's documentation has them go together.
std::vector<endpoint> endpoints_of(const conninfo& info);

struct opened_connection
{
    std::unique_ptr<wire> connection;
    // The options as they hold in this session: its timeouts are those in force, whoever set them.
    std::shared_ptr<const connection_options> in_force;
    // A statement that makes again what RESET ALL undoes; empty if there is nothing to make.
    std::string settings;
    // When to replace the connection, because its credential ends; see credential_schedule.
    std::optional<credential_schedule::window> retirement;
};

// Returns a logged-in, non-blocking connection. Throws connection_error with every attempt and why it failed.
// Ends by `deadline` at the latest; each address has the connect_timeout. Cancellation: any kind.
asio::awaitable<opened_connection> open_connection(std::shared_ptr<const connection_options> options,
                                                   wire::time_point deadline);

} // namespace pgcoro::detail
