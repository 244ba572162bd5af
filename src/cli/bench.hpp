#pragma once

#include "cli/settings.hpp"
#include "cli/terminal.hpp"

#include <boost/asio/awaitable.hpp>

namespace pgcoro::cli
{

/// `pgcoro bench`: gives the exit code. Throws what connection and statements throw.
boost::asio::awaitable<int> bench(const settings& s, terminal& out);

} // namespace pgcoro::cli
