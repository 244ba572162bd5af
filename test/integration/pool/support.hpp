#pragma once

#include "integration/beside.hpp"
#include "integration/fixture.hpp"
#include "integration/run.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// A pool on the shared server, called "pool test".
inline pgcoro::pool_options options_of(std::size_t size, std::size_t overflow = 0)
{
    pgcoro::pool_options o;
    o.connection = pgcoro::connection_options::from_uri(shared_server().uri());
    o.size = size;
    o.max_overflow = overflow;
    o.name = "pool test";
    return o;
}

inline asio::awaitable<void> pause(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

/// Lets others run until the condition holds; the patience of run() bounds it.
template <class Condition>
asio::awaitable<void> until(Condition condition)
{
    while (!condition()) co_await pause(1ms);
}

/// Ends the server's processes of the pool, and waits until they are gone.
inline void kill_backends(const pgcoro::pool_options& options = options_of(1),
                          const pgcoro::testing::server& server = shared_server())
{
    server.psql("select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = '" +
                options.name + "'");
}
