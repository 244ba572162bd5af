#pragma once

#include "cli/settings.hpp"

#include <boost/asio/awaitable.hpp>

#include <ostream>

namespace pgcoro::cli
{

/// `pgcoro locks`: gives the exit code. Throws what connection and statements throw.
boost::asio::awaitable<int> locks(const settings& s, std::ostream& out);

} // namespace pgcoro::cli
