// A coroutine with a time limit.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace pgcoro::detail
{

// Runs it on this coroutine's executor, and rethrows what it throws. False: the deadline came first, and it
// was cancelled, and has ended.
boost::asio::awaitable<bool> ends_by(std::chrono::steady_clock::time_point deadline,
                                     boost::asio::awaitable<void> work);

} // namespace pgcoro::detail
