// An operation is given up at any point: the server stops, the connection goes on.
#include "integration/connection/cancelling.hpp"
#include "integration/support/proxy.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <random>
#include <thread>

using pgcoro::connection;
using pgcoro::server_error;

namespace
{

asio::awaitable<void> wait_for_backend(int pid, std::string state)
{
    auto sql = "select state from pg_stat_activity where pid = " + std::to_string(pid);
    while (shared_server().psql(sql) != state) co_await yield();
}

asio::awaitable<void> sleep_long(connection& c) { co_await c.query("select pg_sleep(600)"); }

} // namespace

BOOST_AUTO_TEST_SUITE(cancellation)

BOOST_AUTO_TEST_CASE(a_query_is_given_up_at_any_point)
{
    for (std::size_t cache : {0, 10}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        int n = 0;
        cancel_everywhere(options, [&](connection& c) -> asio::awaitable<void> {
            auto sql =
                "select " + std::to_string(++n) + "::int4, repeat('x', 100) from generate_series(1, 1000)";
            co_await c.query(sql);
            co_await c.query(sql);
        });
    }
}

BOOST_AUTO_TEST_CASE(a_large_request_is_given_up_at_any_point)
{
    std::string large(3'000'000, 'x');
    cancel_everywhere(shared_options(), [&](connection& c) -> asio::awaitable<void> {
        auto length = co_await c.query_value<int>("select length($1::text)", large);
        BOOST_TEST(length == 3'000'000);
    });
}

BOOST_AUTO_TEST_CASE(a_ping_is_given_up_at_any_point)
{
    cancel_everywhere(shared_options(), [](connection& c) -> asio::awaitable<void> {
        co_await c.ping();
        co_await c.ping();
    });
}

BOOST_AUTO_TEST_CASE(the_wait_for_a_cancel_is_given_up_at_any_point)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    std::optional<connection> conn;
    auto connect = [&]() -> asio::awaitable<void> { conn = co_await connection::connect(shared_options()); };
    run_on(io, connect);
    bool completed = false;
    for (int turns = 0; !completed; ++turns) {
        BOOST_TEST(!cancel_after(io, 0, [&] { return sleep_long(*conn); }));
        // This one first waits for the cancel, and for the end of the other.
        completed = cancel_after(io, turns, [&] { return check_usable(*conn); });
        run_on(io, [&] { return check_usable(*conn); });
    }
}

BOOST_AUTO_TEST_CASE(the_server_stops_working_on_it)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        auto pid = c.backend_pid();
        auto either = co_await (sleep_long(c) || wait_for_backend(pid, "active"));
        BOOST_TEST(either.index() == 1u);
        co_await wait_for_backend(pid, "idle");
        co_await check_usable(c);
        BOOST_TEST(c.backend_pid() == pid);
    });
}

BOOST_AUTO_TEST_CASE(a_timer_gives_a_query_up)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 20; ++i) {
            asio::steady_timer timer(executor, std::chrono::milliseconds(i % 4));
            auto either = co_await (sleep_long(c) || timer.async_wait(asio::use_awaitable));
            BOOST_TEST(either.index() == 1u);
            co_await check_usable(c);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_query_in_a_transaction_is_given_up_and_the_transaction_with_it)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        co_await c.execute("begin");
        auto either = co_await (sleep_long(c) || wait_for_backend(c.backend_pid(), "active"));
        BOOST_TEST(either.index() == 1u);
        auto e = co_await failure_of<server_error>(c.query("select 1"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("25P02"));
        co_await c.execute("rollback");
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(cancel_ends_a_query_with_57014)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto canceller = [&]() -> asio::awaitable<void> {
            co_await wait_for_backend(c.backend_pid(), "active");
            c.cancel();
            c.cancel();
        };
        asio::co_spawn(executor, canceller(), [](std::exception_ptr e) {
            if (e) std::rethrow_exception(e);
        });
        auto e = co_await failure_of<server_error>(sleep_long(c));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57014"));
        for (int i = 0; i < 10; ++i) co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(cancel_may_come_from_any_thread_at_any_time_and_never_hits_the_wrong_statement)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        std::atomic<bool> sleeping = false;
        std::atomic<bool> over = false;
        std::thread other([&] {
            while (!over)
                if (sleeping) c.cancel();
        });
        for (int i = 0; i < 20; ++i) {
            sleeping = true;
            auto e = co_await failure_of<server_error>(sleep_long(c));
            sleeping = false;
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57014"));
            // A cancel() that the other thread has begun may still be for the next statement: let it have
            // one.
            try {
                co_await c.query("select 'in the line of fire'");
            } catch (const server_error& hit) {
                BOOST_TEST(hit.sqlstate() == pgcoro::sqlstate("57014"));
            }
        }
        over = true;
        other.join();
        for (int i = 0; i < 10; ++i) co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_cancel_that_comes_too_late_hits_nobody)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 50; ++i) {
            asio::post(executor, [&] { c.cancel(); });
            try {
                co_await c.query("select 1");
            } catch (const server_error& e) {
                BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57014"));
            }
            co_await check_usable(c);
        }
    });
}

// Each caller gives up within the time that its statement takes, so that the cancel request and the answer cross.
BOOST_AUTO_TEST_CASE(ten_thousand_callers_that_give_up_late_never_stop_the_next_statement)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        asio::steady_timer timer(co_await asio::this_coro::executor);
        std::mt19937 random(1);
        int given_up = 0;
        for (int i = 0; i < 10'000; ++i) {
            timer.expires_after(std::chrono::microseconds(random() % 200));
            auto either = co_await (c.execute("select 1") || timer.async_wait(asio::use_awaitable));
            if (either.index() == 1) ++given_up;
            auto next = co_await c.query_value<int>("select $1::int", i);
            BOOST_REQUIRE(next == i);
        }
        BOOST_TEST(given_up > 100);
        BOOST_TEST(given_up < 9'900);
        BOOST_TEST_MESSAGE(given_up << " of 10,000 gave up");
    });
}

BOOST_AUTO_TEST_CASE(a_context_destroyed_in_the_middle_of_a_query_leaves_nothing_behind)
{
    int pid = 0;
    for (int turns = 1; turns < 40; ++turns) {
        asio::io_context io;
        auto body = [&]() -> asio::awaitable<void> {
            auto conn = co_await connection::connect(shared_options());
            pid = conn.backend_pid();
            co_await sleep_long(conn);
        };
        asio::co_spawn(io, body(), asio::detached);
        for (int i = 0; i < turns; ++i) io.run_one_for(std::chrono::milliseconds(20));
    }
    BOOST_TEST(pid != 0);
    auto left =
        "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active' "
        "and pid <> pg_backend_pid()";
    watchdog dog(2 * patience);
    while (shared_server().psql(left) != "0") std::this_thread::yield();
}

BOOST_AUTO_TEST_CASE(cancel_requests_that_nobody_answers_hold_up_no_other)
{
    constexpr int swallowed = 5; // more than are sent at once
    std::atomic<int> cancels = 0;
    auto swallow = [&](std::string_view message) -> std::optional<test::fault> {
        constexpr std::size_t cancel_request = 16; // bytes; no other message without a type is as short
        if (message.size() != cancel_request || message.front() != 0 || ++cancels > swallowed) return {};
        test::fault silence;
        silence.what = test::fault::drop;
        return silence;
    };
    test::proxy between(test::socket_of(shared_server()), swallow);
    auto options = pgcoro::connection_options::from_uri(between.uri());
    options.application_name = "unheard";
    auto running = [] {
        return std::stoi(shared_server().psql("select count(*) from pg_stat_activity where state = 'active' "
                                              "and application_name = 'unheard'"));
    };
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i <= swallowed; ++i) {
            auto c = co_await connection::connect(options);
            beside sleeper(executor, [&] { return sleep_long(c); });
            co_await wait_for_backend(c.backend_pid(), "active");
            co_await sleeper.end();
        }
        while (running() > swallowed) co_await yield(); // the one whose cancel was heard
        BOOST_TEST(running() == swallowed);
    });
    shared_server().psql(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'unheard'");
}

BOOST_AUTO_TEST_SUITE_END()
