#include "pool/ends_unless.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <utility>

namespace pgcoro::detail
{

namespace asio = boost::asio;

namespace
{

// A coroutine, because the group's own handlers have no executor: the event would be waited for on the
// system's context, and the group completed by a thread of its.
asio::awaitable<void> is_set(std::shared_ptr<one_shot> event)
{
    co_await event->async_wait(std::nullopt, asio::deferred);
}

} // namespace

asio::awaitable<void> ends_unless(std::shared_ptr<one_shot> stop, asio::awaitable<void> work)
{
    auto executor = co_await asio::this_coro::executor;
    auto stopped = is_set(std::move(stop));
    auto both =
        asio::experimental::make_parallel_group(asio::co_spawn(executor, std::move(work), asio::deferred),
                                                asio::co_spawn(executor, std::move(stopped), asio::deferred));
    auto [order, failure, other] =
        co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    if (failure) std::rethrow_exception(failure);
}

} // namespace pgcoro::detail
