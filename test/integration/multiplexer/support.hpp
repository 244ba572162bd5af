#pragma once

#include "integration/connection/support.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/steady_timer.hpp>

using namespace std::chrono_literals;

inline pgcoro::pool_options pool_of(std::size_t size)
{
    pgcoro::pool_options o;
    o.connection = shared_options();
    o.size = size;
    o.max_overflow = 0;
    return o;
}

/// A pool and a multiplexer on one event loop.
struct multiplexed
{
    explicit multiplexed(std::size_t connections = 1, pgcoro::multiplexer_options options = {},
                         std::size_t pool_size = 0)
        : pool(io.get_executor(), pool_of(pool_size ? pool_size : connections))
        , mux(io.get_executor(), pool, (options.connections = connections, options))
    {}

    template <class Body>
    void run(Body body)
    {
        run_on(io, body);
    }

    /// Has it learned that such a text may travel with others.
    asio::awaitable<void> learn(std::string_view sql, auto... args)
    {
        auto ignored = co_await mux.query(sql, args...);
    }

    asio::io_context io;
    pgcoro::pool pool;
    pgcoro::multiplexer mux;
};

/// What some callers, all at once, came to.
struct outcomes
{
    int done = 0;
    int failed = 0;
    int ended() const { return done + failed; }
};

template <class Work>
void spawn_counted(asio::any_io_executor executor, outcomes& all, Work work)
{
    asio::co_spawn(executor, std::move(work),
                   [&all](std::exception_ptr e) { ++(e ? all.failed : all.done); });
}

/// Lets the others have their turns until something is so.
asio::awaitable<void> until(auto condition)
{
    while (!condition()) co_await yield();
}
