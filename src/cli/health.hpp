#pragma once

#include "cli/report.hpp"
#include "cli/settings.hpp"

#include <boost/asio/awaitable.hpp>

namespace pgcoro::cli
{

/// `pgcoro health`: is the server well? What fails is in the report; throws for a cancellation only.
boost::asio::awaitable<report> health(const settings& s);

} // namespace pgcoro::cli
