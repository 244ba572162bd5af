// One operation at a time, on an open connection, from wherever one likes.
#include "integration/connection/support.hpp"

#include <thread>

using pgcoro::connection;

BOOST_AUTO_TEST_SUITE(use_and_misuse)

BOOST_AUTO_TEST_CASE(two_operations_at_once_are_refused_and_neither_is_damaged)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        std::optional<int> first;
        auto slow = [&]() -> asio::awaitable<void> {
            first = co_await c.query_value<int>("select 11 from pg_sleep(0.2)");
        };
        asio::co_spawn(executor, slow(), [](std::exception_ptr e) {
            if (e) std::rethrow_exception(e);
        });
        co_await yield();
        auto second = co_await failure_of<std::logic_error>(c.query("select 12"));
        BOOST_TEST(contains(second.what(), "already under way"));
        auto ping = co_await failure_of<std::logic_error>(c.ping());
        BOOST_TEST(contains(ping.what(), "already under way"));
        BOOST_TEST(!first.has_value());
        while (!first) co_await yield();
        BOOST_TEST(*first == 11);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(two_operations_at_once_are_refused_while_a_cancel_is_waited_for)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        beside sleeper(executor, [&] { return c.execute("select pg_sleep(600)"); });
        co_await sleeper.end();
        int served = 0;
        int refused = 0;
        for (int i = 0; i < 3; ++i) {
            auto one = [&]() -> asio::awaitable<void> {
                try {
                    co_await c.query("select 1");
                    ++served;
                } catch (const std::logic_error&) {
                    ++refused;
                }
            };
            asio::co_spawn(executor, std::move(one), asio::detached);
        }
        while (served + refused < 3) co_await yield();
        BOOST_TEST(served == 1);
        BOOST_TEST(refused == 2);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(use_after_close_is_refused)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto pid = std::to_string(c.backend_pid());
        c.close();
        c.close();
        c.cancel();
        BOOST_TEST(!c.is_open());
        BOOST_TEST(!c.in_transaction());
        BOOST_TEST(c.backend_pid() == 0);
        BOOST_TEST(c.server_version() == 0);
        BOOST_TEST(c.parameter_status("TimeZone") == "");
        auto e = co_await failure_of<std::logic_error>(c.query("select 1"));
        BOOST_TEST(contains(e.what(), "closed"));
        co_await failure_of<std::logic_error>(c.ping());
        co_await failure_of<std::logic_error>(c.execute("select 1"));
        while (shared_server().psql("select count(*) from pg_stat_activity where pid = " + pid) != "0")
            co_await yield();
    });
}

BOOST_AUTO_TEST_CASE(a_moved_connection_works_and_what_is_left_is_refused)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto moved = std::move(c);
        co_await check_usable(moved);
        co_await failure_of<std::logic_error>(c.query("select 1"));
        c = std::move(moved);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_connection_follows_its_user_to_other_threads)
{
    asio::io_context here;
    asio::io_context there;
    std::optional<connection> conn;
    auto connect = [&]() -> asio::awaitable<void> { conn = co_await connection::connect(shared_options()); };
    run_on(here, connect);
    for (int i = 0; i < 5; ++i) {
        std::exception_ptr failure;
        std::thread other([&] {
            try {
                run_on(there, [&]() -> asio::awaitable<void> {
                    auto sum = co_await conn->query_value<int>("select $1::int + 1", i);
                    if (sum != i + 1) throw std::runtime_error("the answer is wrong");
                });
            } catch (...) {
                failure = std::current_exception();
            }
        });
        other.join();
        BOOST_TEST((failure == nullptr));
        run_on(here, [&] { return check_usable(*conn); });
    }
    conn.reset();
}

BOOST_AUTO_TEST_CASE(connections_run_side_by_side_on_many_threads)
{
    asio::io_context io;
    std::atomic<int> sum = 0;
    std::atomic<int> failures = 0;
    auto options = shared_options();
    auto one = [&]() -> asio::awaitable<void> {
        auto conn = co_await connection::connect(options);
        for (int i = 0; i < 50; ++i) {
            auto n = co_await conn.query_value<int>("select $1::int", i);
            sum += n;
        }
    };
    for (int i = 0; i < 8; ++i)
        asio::co_spawn(asio::make_strand(io), one(), [&](std::exception_ptr e) { failures += e != nullptr; });
    watchdog dog(2 * patience);
    std::thread second([&] { io.run(); });
    io.run();
    second.join();
    BOOST_TEST(failures == 0);
    BOOST_TEST(sum == 8 * (49 * 50 / 2));
}

BOOST_AUTO_TEST_SUITE_END()
