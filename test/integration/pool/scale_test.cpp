#include "integration/fixture.hpp"
#include "integration/run.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pgcoro::pool;

namespace
{

pgcoro::pool_options options_of(std::size_t size, std::size_t overflow)
{
    pgcoro::pool_options o;
    o.connection = pgcoro::connection_options::from_uri(shared_server().uri());
    o.size = size;
    o.max_overflow = overflow;
    return o;
}

asio::awaitable<void> until(auto condition)
{
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!condition()) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

} // namespace

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
        o.on_connect = [](pgcoro::connection&) -> asio::awaitable<void> { // a slow network
            asio::steady_timer timer(co_await asio::this_coro::executor, 150ms);
            co_await timer.async_wait(asio::use_awaitable);
        };
        pool p(executor, o);
        co_await p.warm_up();
        int served = 0;
        auto call = [&]() -> asio::awaitable<void> {
            co_await p.execute("select pg_sleep(0.002)");
            ++served;
        };
        for (int i = 0; i < 200; ++i) asio::co_spawn(executor, call(), asio::detached);
        co_await until([&] { return served == 200; });
        co_await until([&] { return p.stats().connecting == 0; });
        auto s = p.stats();
        // Without any connect the 5 need 40 rounds of 2 ms. What was begun meanwhile is bounded by
        // max_connecting.
        BOOST_TEST(s.connects <= 5 + o.max_connecting);
        BOOST_TEST(s.idle == 5u); // and back to the base
    });
}

BOOST_AUTO_TEST_SUITE_END()
