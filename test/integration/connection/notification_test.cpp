// Notifications on a connection, and on one that comes back.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/connection/listener.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

using pgcoro::connection;
using pgcoro::listener;
using pgcoro::names;

namespace
{

void notify(const std::string& channel, const std::string& payload)
{
    shared_server().psql("select pg_notify('" + channel + "', '" + payload + "')");
}

pgcoro::listener_options quick()
{
    pgcoro::listener_options options;
    options.reconnect = pgcoro::backoff::fixed(std::chrono::milliseconds(20));
    return options;
}

// Until the listener has connected and listens: it tells so by nothing but its process.
asio::awaitable<void> wait_for_listener(const listener& l, int pid_before = 0)
{
    while (!l.is_connected() || l.backend_pid() == pid_before) co_await yield();
}

} // namespace

BOOST_AUTO_TEST_SUITE(notifications)

BOOST_AUTO_TEST_CASE(what_is_sent_arrives_also_when_it_came_during_a_query)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.listen(names("Orders \"x\"", "other"));
        notify("Orders \"x\"", "first");
        co_await c.query("select pg_sleep(0.01)");
        notify("other", "");
        co_await c.query("select 1");
        notify("nobody", "not this");
        auto first = co_await c.wait_notification();
        BOOST_TEST(first.channel == "Orders \"x\"");
        BOOST_TEST(first.payload == "first");
        BOOST_TEST(first.backend_pid != 0);
        BOOST_TEST(!first.gap);
        auto second = co_await c.wait_notification();
        BOOST_TEST(second.channel == "other");
        auto none = co_await c.wait_notification(std::chrono::milliseconds(1));
        BOOST_TEST(!none);
        co_await check_usable(c);
        co_await c.unlisten(names("other"));
        notify("other", "");
        notify("Orders \"x\"", "last");
        auto last = co_await c.wait_notification();
        BOOST_TEST(last.payload == "last");
        co_await c.unlisten();
        auto channels = co_await c.query_value<int>("select count(*)::int from pg_listening_channels()");
        BOOST_TEST(channels == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_wait_is_given_up_and_nothing_is_lost)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        co_await c.listen(names("kept"));
        auto either = co_await (c.wait_notification() || yield());
        BOOST_TEST(either.index() == 1u);
        co_await check_usable(c);
        notify("kept", "there");
        auto n = co_await c.wait_notification();
        BOOST_TEST(n.payload == "there");
    });
}

BOOST_AUTO_TEST_CASE(a_lost_connection_ends_the_wait)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.listen(names("c"));
        shared_server().psql("select pg_terminate_backend(" + std::to_string(c.backend_pid()) + ")");
        co_await failure_of<pgcoro::connection_error>(c.wait_notification());
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(a_listener_comes_back_and_tells_of_the_gap)
{
    run([]() -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        listener l(shared_options(), {"news"}, quick());
        int before = 0;
        for (int round = 0; round < 3; ++round) {
            auto speak = [&]() -> asio::awaitable<void> {
                co_await wait_for_listener(l, before);
                notify("news", std::to_string(round));
            };
            if (round > 0) {
                auto gap = co_await l.next();
                BOOST_TEST(gap.gap);
                BOOST_TEST(gap.channel.empty());
            }
            auto both = co_await (l.next() && speak());
            auto& n = both;
            BOOST_TEST(n.payload == std::to_string(round));
            BOOST_TEST(!n.gap);
            before = l.backend_pid();
            shared_server().psql("select pg_terminate_backend(" + std::to_string(before) + ")");
        }
    });
}

BOOST_AUTO_TEST_CASE(a_listener_waits_for_a_server_that_is_away)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        auto options = pgcoro::connection_options::from_uri(server.uri());
        listener l(options, {"news"}, quick());
        auto restart = [&]() -> asio::awaitable<void> {
            co_await wait_for_listener(l);
            server.stop(pgcoro::testing::shutdown::immediate);
            for (int i = 0; i < 20; ++i) co_await yield();
            server.start();
        };
        auto gap = co_await (l.next() && restart());
        BOOST_TEST(gap.gap);
        server.psql("notify news, 'again'");
        auto n = co_await l.next();
        BOOST_TEST(n.payload == "again");
    });
}

BOOST_AUTO_TEST_CASE(a_listener_notices_a_silent_peer_by_its_pings)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        auto options = pgcoro::connection_options::from_uri(server.uri());
        auto keeping = quick();
        keeping.ping_every = std::chrono::milliseconds(10);
        listener l(options, {"news"}, keeping);
        auto silence = [&]() -> asio::awaitable<void> {
            co_await wait_for_listener(l);
            auto pid = l.backend_pid();
            server.pause(); // pings are not answered
            while (l.is_connected() && l.backend_pid() == pid) co_await yield();
            server.resume();
        };
        auto gap = co_await (l.next() && silence());
        BOOST_TEST(gap.gap);
    });
}

BOOST_AUTO_TEST_CASE(what_waiting_does_not_mend_is_told)
{
    run([]() -> asio::awaitable<void> {
        auto options = pgcoro::connection_options::from_uri(shared_server().uri("no_such_database"));
        listener l(options, {"c"}, quick());
        auto e = co_await failure_of<pgcoro::connection_error>(l.next());
        BOOST_TEST(e.why() == pgcoro::connection_failure::no_such_database);
        BOOST_CHECK_THROW(listener(shared_options(), {""}), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(a_listener_is_given_up_at_any_point)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    auto keeping = quick();
    keeping.ping_every = std::chrono::milliseconds(1); // so that the event loop always has a next turn
    for (int turns = 0; turns < 40; ++turns) {
        listener l(shared_options(), {"c"}, keeping);
        auto next = [&]() -> asio::awaitable<void> { co_await l.next(); };
        BOOST_TEST(!cancel_after(io, turns, next));
        auto speak = [&]() -> asio::awaitable<void> {
            using namespace asio::experimental::awaitable_operators;
            auto say = [&]() -> asio::awaitable<void> {
                co_await wait_for_listener(l);
                notify("c", "x");
            };
            auto n = co_await (l.next() && say());
            BOOST_TEST(n.payload == "x");
        };
        if (turns % 10 == 0) run_on(io, speak);
    }
}

BOOST_AUTO_TEST_SUITE_END()
