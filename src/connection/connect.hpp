// Connecting: names resolved without blocking, hosts and addresses tried in order, each under its deadline.
#pragma once

#include "connection/wire.hpp"

#include <pgcoro/connection/options.hpp>

#include <memory>

namespace pgcoro::detail
{

// A logged-in, non-blocking connection. Throws connection_error with every attempt and why it failed.
// Ends by `deadline` at the latest; each address has options.connect_timeout. Cancellation: any kind.
asio::awaitable<std::unique_ptr<wire>> connect_wire(const connection_options& options,
                                                    wire::time_point deadline);

} // namespace pgcoro::detail
