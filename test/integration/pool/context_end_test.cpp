// An I/O context is destroyed after the n-th step of all that runs on it: nothing of it may stay.
#include "support.hpp"

#include <memory>
#include <tuple>
#include <vector>

namespace
{

using witness = std::shared_ptr<int>;

// Begins `user(witness)` on a context of its own, which is destroyed after n steps, for every n until it is
// `over` by then. Everything that it starts and makes has a copy of the witness.
template <class User>
void end_after_every_step(User user)
{
    watchdog dog(4 * patience);
    bool over = false;
    auto ended = [&](std::exception_ptr failure) {
        over = true;
        if (failure) std::rethrow_exception(failure);
    };
    int steps = 0;
    while (!over) {
        ++steps;
        auto all = std::make_shared<int>();
        {
            asio::io_context io;
            asio::co_spawn(io, user(all), ended);
            for (int i = 0; i < steps && !over; ++i) io.run_one_for(100ms);
        }
        BOOST_TEST_REQUIRE(all.use_count() == 1, "left behind after " << steps << " steps");
    }
    BOOST_TEST(steps > 5);
}

// What it waits for may never come: it is over then.
template <class User>
void end_with_all_that_wait(User user)
{
    auto all = std::make_shared<int>();
    {
        asio::io_context io;
        bool waiting = false;
        asio::co_spawn(io, user(all, waiting), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        watchdog dog(patience);
        while (!waiting) io.run_one_for(100ms);
        io.run_for(20ms);
        BOOST_TEST(all.use_count() > 1);
    }
    BOOST_TEST(all.use_count() == 1);
}

pgcoro::pool_options witnessed(witness w, std::size_t size)
{
    auto o = options_of(size);
    o.on_connect = [w](pgcoro::connection&) -> asio::awaitable<void> { co_return; };
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(context_ends)

BOOST_AUTO_TEST_CASE(a_pool_of_a_coroutine_ends_with_it_at_every_step)
{
    end_after_every_step([](witness w) -> asio::awaitable<void> {
        pgcoro::pool p(co_await asio::this_coro::executor, witnessed(w, 2));
        co_await p.warm_up();
        co_await p.execute("select 1");
        auto one = [w](pgcoro::transaction& tx) -> asio::awaitable<void> { co_await tx.execute("select 1"); };
        co_await pgcoro::transactional(p, one);
        co_await p.close();
    });
}

BOOST_AUTO_TEST_CASE(who_waits_in_a_pools_queue_ends)
{
    end_with_all_that_wait([](witness w, bool& waiting) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool p(executor, witnessed(w, 1));
        auto only = co_await p.acquire();
        waiting = true;
        auto never = co_await p.acquire();
    });
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_pools_close_ends)
{
    end_with_all_that_wait([](witness w, bool& waiting) -> asio::awaitable<void> {
        pgcoro::pool p(co_await asio::this_coro::executor, witnessed(w, 1));
        auto only = co_await p.acquire();
        waiting = true;
        co_await p.close(1h);
    });
}

BOOST_AUTO_TEST_CASE(a_multiplexer_ends_at_every_step)
{
    end_after_every_step([](witness w) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool p(executor, witnessed(w, 2));
        pgcoro::multiplexer mux(executor, p);
        for (int i = 0; i < 3; ++i) co_await mux.read().execute("select $1::int", i);
        co_await p.close();
    });
}

BOOST_AUTO_TEST_CASE(a_cache_ends_at_every_step)
{
    end_after_every_step([](witness w) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool p(executor, witnessed(w, 2));
        pgcoro::query_cache cache(executor, p);
        for (int i = 0; i < 2; ++i) co_await cache.query("select oid from pg_catalog.pg_class limit 1");
        co_await p.close();
    });
}

BOOST_AUTO_TEST_CASE(a_cluster_ends_at_every_step)
{
    end_after_every_step([](witness w) -> asio::awaitable<void> {
        pgcoro::cluster_options o;
        o.pool = witnessed(w, 2);
        pgcoro::cluster c(co_await asio::this_coro::executor, o);
        co_await c.execute("select 1");
        co_await c.close();
    });
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_primary_ends)
{
    pgcoro::testing::server_options options;
    options.replica_of = &shared_server();
    pgcoro::testing::server standby(options);
    end_with_all_that_wait([&](witness w, bool& waiting) -> asio::awaitable<void> {
        pgcoro::cluster_options o;
        o.pool = witnessed(w, 2);
        o.pool.connection = pgcoro::connection_options::from_uri(standby.uri());
        o.max_lag = 0ms; // there is no primary to measure it by
        pgcoro::cluster c(co_await asio::this_coro::executor, o);
        co_await c.query_value<int>("select 1"); // it knows the standby
        waiting = true;
        co_await c.execute("create table never ()");
    });
}

BOOST_AUTO_TEST_CASE(all_that_a_connection_does_ends_at_every_step)
{
    end_after_every_step([](witness w) -> asio::awaitable<void> {
        auto held = w;
        auto c = co_await pgcoro::connection::connect(options_of(1).connection);
        co_await c.execute("create temporary table numbers (n int)");
        const std::vector<std::tuple<int>> some{{1}, {2}, {3}};
        co_await c.copy_in("numbers", some);
        auto rows = c.stream<int>("select n from numbers");
        for (auto n = co_await rows.next(); n;) n = co_await rows.next();
        auto out = c.copy_out<int>("select n from numbers");
        for (auto n = co_await out.next(); n;) n = co_await out.next();
        auto batch = c.pipeline();
        auto one = batch.query_value<int>("select 1");
        auto two = batch.query_value<int>("select 2");
        co_await batch.run();
        BOOST_TEST(one.get() + two.get() == 3);
    });
}

BOOST_AUTO_TEST_CASE(a_listener_ends)
{
    end_with_all_that_wait([](witness w, bool& waiting) -> asio::awaitable<void> {
        auto held = w;
        pgcoro::listener ear(options_of(1).connection, {"nobody"});
        co_await pgcoro::connection::connect(options_of(1).connection);
        waiting = true;
        co_await ear.next();
    });
}

BOOST_AUTO_TEST_SUITE_END()
