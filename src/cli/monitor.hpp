#pragma once

#include "cli/settings.hpp"
#include "cli/terminal.hpp"

#include <boost/asio/awaitable.hpp>

namespace pgcoro::cli
{

/// `pgcoro monitor`: gives the exit code, that of the worst alert there was. A server that goes away is one;
/// throws `connection_error` only for what waiting does not mend, and only at the first look.
boost::asio::awaitable<int> monitor(const settings& s, terminal& out);

} // namespace pgcoro::cli
