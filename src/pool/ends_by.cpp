#include "pool/ends_by.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <utility>

namespace pgcoro::detail
{

namespace asio = boost::asio;

asio::awaitable<bool> ends_by(std::chrono::steady_clock::time_point deadline, asio::awaitable<void> work)
{
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline);
    auto both = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(work), asio::deferred), timer.async_wait(asio::deferred));
    auto [order, failure, ec] = co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    if (order[0] != 0) co_return false;
    if (failure) std::rethrow_exception(failure);
    co_return true;
}

} // namespace pgcoro::detail
