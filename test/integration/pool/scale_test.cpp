#include "integration/pool/support.hpp"

#include <boost/asio/detached.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>

#include <sys/resource.h>

using pgcoro::lease;
using pgcoro::pool;

BOOST_AUTO_TEST_SUITE(pool_scale)

BOOST_AUTO_TEST_CASE(ten_thousand_callers_on_16_connections_are_all_served_in_turn)
{
    constexpr int callers = 10'000;
    int served = 0;
    std::vector<int> order;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(16, 0));
        co_await p.warm_up();
        auto call = [&](int who) -> asio::awaitable<void> {
            auto held = co_await p.acquire();
            order.push_back(who);
            co_await held->execute("select 1");
            ++served;
        };
        for (int i = 0; i < callers; ++i) asio::co_spawn(executor, call(i), asio::detached);
        co_await until([&] { return served == callers; });
        BOOST_TEST(p.stats().connects == 16u);
        BOOST_TEST(p.stats().idle == 16u);
    });
    BOOST_TEST(std::is_sorted(order.begin(), order.end()));
}

// The spike of HikariCP's SpikeLoadTest: many callers at once, few idle connections, short work.
BOOST_AUTO_TEST_CASE(a_burst_of_200_callers_on_5_idle_connections_opens_few)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(5, 45);
        o.overflow_linger = 0ms;
        int served = 200;
        // The network is so slow that no connect gets through before all are served.
        o.on_connect = [&](pgcoro::connection&) { return until([&] { return served == 200; }); };
        pool p(executor, o);
        co_await p.warm_up();
        served = 0;
        auto call = [&]() -> asio::awaitable<void> {
            co_await p.execute("select pg_sleep(0.002)");
            ++served;
        };
        for (int i = 0; i < 200; ++i) asio::co_spawn(executor, call(), asio::detached);
        co_await until([&] { return served == 200; });
        co_await until([&] { return p.stats().connecting == 0; });
        auto s = p.stats();
        BOOST_TEST(s.connects <= 5 + o.max_connecting);
        BOOST_TEST(s.idle == 5u); // and back to the base
    });
}

BOOST_AUTO_TEST_CASE(after_a_time_of_saturation_the_pool_is_back_at_its_base)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(2, 6);
        o.overflow_linger = 0ms;
        pool p(co_await asio::this_coro::executor, o);
        std::vector<lease> held;
        for (int i = 0; i < 8; ++i) {
            auto one = co_await p.acquire();
            held.push_back(std::move(one));
        }
        BOOST_CHECK_THROW(co_await p.acquire(10ms), pgcoro::pool_timeout);
        held.clear();
        auto s = p.stats();
        BOOST_TEST(s.idle == 2u);
        BOOST_TEST(s.closes == 6u);
        BOOST_TEST(s.connects == 8u);
    });
}

BOOST_AUTO_TEST_CASE(a_server_that_takes_no_more_hides_no_connection_that_comes_back)
{
    pgcoro::testing::server_options few;
    few.settings["max_connections"] = "5";
    few.settings["superuser_reserved_connections"] = "0";
    pgcoro::testing::server server(few);
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(8);
        o.connection = pgcoro::connection_options::from_uri(server.uri());
        pool p(executor, o);
        std::vector<lease> held;
        for (int i = 0; i < 5; ++i) {
            auto one = co_await p.acquire();
            held.push_back(std::move(one));
        }
        beside caller(executor, [&]() -> asio::awaitable<void> { auto mine = co_await p.acquire(); });
        co_await until([&] { return p.stats().connect_failures > 0; });
        auto failure = p.stats().last_connect_failure;
        BOOST_TEST(failure.find("too many clients already (53300)") != std::string::npos);
        BOOST_TEST(!caller.done());
        held.pop_back();
        co_await until([&] { return caller.done(); });
        BOOST_TEST(!caller.error());
        BOOST_TEST(p.stats().connects == 5u);
    });
}

BOOST_AUTO_TEST_CASE(five_hundred_connections_are_opened_used_and_closed)
{
    constexpr std::size_t many = 500;
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    BOOST_REQUIRE_MESSAGE(files.rlim_max > 2 * many + 100, "two descriptors a connection: raise ulimit -Hn");
    files.rlim_cur = std::max<rlim_t>(files.rlim_cur, 2 * many + 100);
    ::setrlimit(RLIMIT_NOFILE, &files);
    pgcoro::testing::server_options large;
    large.settings["max_connections"] = std::to_string(many + 10);
    pgcoro::testing::server server(large);
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(many);
        o.connection = pgcoro::connection_options::from_uri(server.uri());
        o.max_connecting = 16;
        pool p(executor, o);
        co_await p.warm_up();
        BOOST_TEST(p.stats().connects == many);
        std::size_t served = 0;
        std::vector<lease> held;
        for (std::size_t i = 0; i < many; ++i) {
            auto one = co_await p.acquire();
            held.push_back(std::move(one));
        }
        auto use = [&](lease& l) -> asio::awaitable<void> {
            served += co_await l->query_value<int>("select 1");
        };
        for (auto& l : held) asio::co_spawn(executor, use(l), asio::detached);
        co_await until([&] { return served == many; });
        held.clear();
        BOOST_TEST(p.stats().idle == many);
        co_await p.close();
        BOOST_TEST(p.stats().closes == many);
    });
}

BOOST_AUTO_TEST_SUITE_END()
