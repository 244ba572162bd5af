#pragma once

#include "cli/report.hpp"
#include "cli/settings.hpp"

#include <boost/asio/awaitable.hpp>

namespace pgcoro::cli
{

/// `pgcoro doctor`: why does it not work? The name of a check is the cause. Throws for a cancellation, and
/// `std::invalid_argument` for a wrong URL.
boost::asio::awaitable<report> doctor(const settings& s);

} // namespace pgcoro::cli
