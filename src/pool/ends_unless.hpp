// A coroutine that somebody else may end.
#pragma once

#include "connection/one_shot.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>

namespace pgcoro::detail
{

// Runs `work`, returns when it has ended, and rethrows its exception. `work` is cancelled once `stop` is set,
// from any thread. The executor of this coroutine must run one handler at a time, as a strand does.
boost::asio::awaitable<void> ends_unless(std::shared_ptr<one_shot> stop, boost::asio::awaitable<void> work);

} // namespace pgcoro::detail
