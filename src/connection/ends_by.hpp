// A coroutine with a time limit.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace pgcoro::detail
{

// Runs `work`, cancels it at the deadline, and ends when `work` has ended. Returns true if `work` was done, false
// if the deadline came first; rethrows the exception of `work`. A cancellation of the caller, of any kind that
// the caller lets through, cancels `work`.
//
// `work` and its timer run on a separate strand, so the executor of the caller may have several threads.
boost::asio::awaitable<bool> ends_by(std::chrono::steady_clock::time_point deadline,
                                     boost::asio::awaitable<void> work);

} // namespace pgcoro::detail
