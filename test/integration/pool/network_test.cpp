// A pool on a network that moves, is slow, or says nothing.
#include "integration/pool/support.hpp"
#include "integration/resolver.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::lease;
using pgcoro::pool;

namespace
{

// Gives up soon what a silent server does not answer.
pgcoro::pool_options impatient(const pgcoro::testing::server& server)
{
    auto o = options_of(2);
    o.connection = pgcoro::connection_options::from_uri(server.uri());
    o.connection.statement_timeout = 100ms;
    o.connection.response_grace = 100ms;
    o.connection.connect_timeout = 300ms;
    o.ping_timeout = 200ms;
    o.cleanup_timeout = 200ms;
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_network)

BOOST_AUTO_TEST_CASE(a_slow_name_server_stops_nobody_else)
{
    named_address slow("slow.test", "127.0.0.1", 2s);
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(1);
        o.connection = pgcoro::connection_options::from_uri(shared_server().tcp_uri());
        o.connection.parameters["host"] = "slow.test";
        pool p(executor, o);
        int ticks = 0;
        bool connected = false;
        beside clock(executor, [&]() -> asio::awaitable<void> {
            while (!connected) {
                co_await pause(1ms);
                ++ticks;
            }
        });
        co_await p.warm_up();
        connected = true;
        co_await until([&] { return clock.done(); });
        BOOST_TEST(ticks > 100); // while the name is looked up; two thousand on a machine with time
    });
}

BOOST_AUTO_TEST_CASE(a_host_that_has_moved_is_found_at_its_new_address)
{
    pgcoro::testing::server_options moving;
    moving.settings["listen_addresses"] = "127.0.0.1,127.0.0.2";
    moving.hba = {"host all all 127.0.0.0/8 scram-sha-256"};
    pgcoro::testing::server server(moving);
    named_address host("moving.test", "127.0.0.1");
    run([&]() -> asio::awaitable<void> {
        auto o = options_of(2);
        o.connection = pgcoro::connection_options::from_uri(server.tcp_uri());
        o.connection.parameters["host"] = "moving.test";
        pool p(co_await asio::this_coro::executor, o);
        auto address = [&]() -> asio::awaitable<std::string> {
            auto text = co_await p.query_value<std::string>("select host(inet_server_addr())");
            co_return text;
        };
        auto first = co_await address();
        BOOST_TEST(first == "127.0.0.1");
        host.move_to("127.0.0.2");
        auto still = co_await address(); // a connection that works is no reason to look again
        BOOST_TEST(still == "127.0.0.1");
        p.evict();
        auto second = co_await address();
        BOOST_TEST(second == "127.0.0.2");
    });
}

BOOST_AUTO_TEST_CASE(logins_that_hang_are_given_up_and_the_pool_recovers)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto o = impatient(server);
        o.connection = pgcoro::connection_options::from_uri(server.tcp_uri());
        o.connection.connect_timeout = 100ms;
        pool p(co_await asio::this_coro::executor, o);
        server.pause(); // the system accepts, and nobody speaks
        std::string what;
        try {
            auto none = co_await p.acquire(400ms);
        } catch (const pgcoro::pool_timeout& e) {
            what = e.what();
        }
        BOOST_TEST(what.find("the last connect failed") != what.npos, what);
        BOOST_TEST(p.stats().connect_failures > 0u);
        server.resume();
        auto one = co_await p.query_value<int>("select 1");
        BOOST_TEST(one == 1);
        co_await until([&] { return p.stats().connecting == 0; });
        BOOST_TEST(p.stats().in_use == 0u);
    });
}

BOOST_AUTO_TEST_CASE(one_frozen_backend_costs_its_connection_and_no_other)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, impatient(server));
        auto frozen = co_await p.acquire();
        auto other = co_await p.acquire();
        auto pid = frozen->backend_pid();
        server.pause(pid);
        BOOST_CHECK_THROW(co_await frozen->execute("select 1"), pgcoro::connection_error);
        frozen.release();
        auto well = co_await other->query_value<int>("select 1");
        BOOST_TEST(well == 1);
        other.release();
        auto replacement = co_await p.acquire();
        auto again = co_await p.acquire();
        BOOST_TEST(replacement->backend_pid() != pid);
        BOOST_TEST(again->backend_pid() != pid);
        BOOST_TEST(p.stats().closes == 1u);
        server.resume(pid);
    });
}

BOOST_AUTO_TEST_CASE(a_lease_returned_mid_query_to_a_silent_server_is_closed_and_the_slot_comes_back)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = impatient(server);
        o.size = 1;
        o.connection.statement_timeout = 0ms;
        pool p(executor, o);
        auto held = co_await p.acquire();
        beside query(executor, [&]() { return held->execute("select pg_sleep(600)"); });
        co_await until([&] { return query.begun(); });
        server.pause();
        co_await query.end();
        held.release();
        BOOST_TEST(p.stats().cleaning == 1u);
        co_await until([&] { return p.stats().cleaning == 0; });
        BOOST_TEST(p.stats().closes == 1u);
        server.resume();
        auto one = co_await p.query_value<int>("select 1");
        BOOST_TEST(one == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_pool_is_closed_whatever_the_server_does)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, impatient(server));
        co_await p.warm_up();
        auto held = co_await p.acquire();
        server.pause();
        co_await p.close(50ms);
        BOOST_TEST(p.stats().idle == 0u);
        BOOST_TEST(p.stats().in_use == 1u);
        BOOST_CHECK_THROW(co_await held->execute("select 1"), pgcoro::connection_error); // it was cut
        held.release();
        BOOST_TEST(p.stats().in_use == 0u);
        server.resume();
    });
}

BOOST_AUTO_TEST_CASE(a_pool_is_closed_while_it_connects)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, impatient(server));
        server.pause();
        beside caller(executor, [&]() -> asio::awaitable<void> { auto mine = co_await p.acquire(); });
        co_await until([&] { return p.stats().connecting > 0; });
        co_await p.close(20s); // waits for the connect, which is given up in time
        BOOST_TEST(p.stats().connecting == 0u);
        co_await until([&] { return caller.done(); });
        BOOST_TEST(caller.threw<pgcoro::pool_closed>());
        server.resume();
    });
}

BOOST_AUTO_TEST_SUITE_END()
