// After its end a pool does nothing that its user could notice.
#include "integration/pool/support.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>

using pgcoro::lease;
using pgcoro::pool;

namespace
{

// Counts all calls, and those after the end.
struct counting_observer : pgcoro::observer
{
    std::atomic<int> told{0};
    std::atomic<bool> over{false};
    std::atomic<int> late{0};

    void note() noexcept
    {
        ++told;
        if (over) ++late;
    }
    void on_query(const pgcoro::query_event&) noexcept override { note(); }
    void on_connect(const pgcoro::connect_event&) noexcept override { note(); }
    void on_disconnect(const pgcoro::disconnect_event&) noexcept override { note(); }
    void on_acquire(const pgcoro::acquire_event&) noexcept override { note(); }
    void on_acquire_failed(const pgcoro::acquire_failed_event&) noexcept override { note(); }
    void on_release(const pgcoro::release_event&) noexcept override { note(); }
    void on_leak(const pgcoro::leak_event&) noexcept override { note(); }
};

std::string connections_of(const pgcoro::pool_options& o)
{
    return shared_server().psql("select count(*) from pg_stat_activity where application_name = '" + o.name +
                                "'");
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_end)

BOOST_AUTO_TEST_CASE(hook_of_a_connect_under_way_is_not_called_after_the_end)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(1);
        int calls = 0;
        o.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
            ++calls;
            co_return;
        };
        {
            pool p(executor, o);
            BOOST_CHECK_THROW(co_await p.acquire(0ms), pgcoro::pool_timeout);
            BOOST_TEST(p.stats().connecting == 1u);
        }
        co_await pause(300ms);
        BOOST_TEST(calls == 0);
        BOOST_TEST(connections_of(o) == "0");
    });
}

BOOST_AUTO_TEST_CASE(suspended_hooks_are_cancelled_by_the_end)
{
    for (std::string where : {"connect", "release", "credentials"}) {
        for (bool by_close : {false, true}) {
            run([&]() -> asio::awaitable<void> {
                auto executor = co_await asio::this_coro::executor;
                auto o = options_of(1);
                o.connection.connect_timeout = 10min;
                o.cleanup_timeout = 10min;
                auto alive = std::make_shared<int>();
                bool suspended = false;
                auto hang = [&suspended](std::shared_ptr<int>) -> asio::awaitable<void> {
                    suspended = true;
                    co_await pause(600s);
                };
                if (where == "connect") o.on_connect = [&](pgcoro::connection&) { return hang(alive); };
                if (where == "release") o.on_release = [&](pgcoro::connection&) { return hang(alive); };
                if (where == "credentials")
                    o.connection.credentials = [&]() -> asio::awaitable<pgcoro::credentials> {
                        co_await hang(alive);
                        co_return pgcoro::credentials();
                    };
                {
                    pool p(executor, o);
                    auto ask = [&]() -> asio::awaitable<void> { co_await p.execute("select 1"); };
                    beside caller(executor, ask);
                    co_await until([&] { return suspended; });
                    BOOST_TEST(alive.use_count() > 1);
                    if (by_close) {
                        co_await p.close(0ms);
                        co_await until([&] { return alive.use_count() == 1; });
                    }
                    co_await until([&] { return caller.done() || !by_close; });
                    if (!caller.done()) co_await caller.end();
                }
                co_await until([&] { return alive.use_count() == 1; });
            });
        }
    }
}

BOOST_AUTO_TEST_CASE(observer_is_not_called_after_the_end)
{
    counting_observer seen;
    asio::thread_pool threads(2);
    for (int round = 0; round < 50; ++round) {
        seen.over = false;
        lease outlives;
        {
            auto o = options_of(3);
            o.observer = &seen;
            pool p(threads.get_executor(), o);
            outlives = asio::co_spawn(threads, p.acquire(), asio::use_future).get();
            for (int i = 0; i < 2; ++i)
                try {
                    asio::co_spawn(threads, p.acquire(0ms), asio::use_future).get();
                } catch (const pgcoro::pool_timeout&) { // two more are being opened just now
                }
            if (round % 2) std::this_thread::sleep_for(std::chrono::milliseconds(round / 2));
        }
        seen.over = true;
        auto query = [&]() -> asio::awaitable<void> { co_await outlives->execute("select 1"); };
        BOOST_CHECK_NO_THROW(asio::co_spawn(threads, query(), asio::use_future).get());
        outlives.release();
    }
    threads.join();
    BOOST_TEST(seen.told > 0);
    BOOST_TEST(seen.late == 0);
}

BOOST_AUTO_TEST_CASE(granted_caller_of_an_ended_pool_runs_no_hook)
{
    asio::io_context io;
    auto o = options_of(1);
    int hooks = 0;
    o.on_acquire = [&](pgcoro::connection&) -> asio::awaitable<void> {
        ++hooks;
        co_return;
    };
    asio::io_context slow; // the caller's
    std::exception_ptr failure;
    auto p = std::make_unique<pool>(io.get_executor(), o);
    asio::co_spawn(
        slow, [&]() -> asio::awaitable<void> { auto mine = co_await p->acquire(); },
        [&](std::exception_ptr e) { failure = e; });
    slow.poll();
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await until([&] { return p->stats().in_use == 1; }); // granted, and its thread does something else
    });
    p.reset();
    slow.restart();
    slow.run();
    BOOST_TEST(hooks == 0);
    BOOST_TEST_REQUIRE(static_cast<bool>(failure));
    BOOST_CHECK_THROW(std::rethrow_exception(failure), pgcoro::pool_closed);
}

BOOST_AUTO_TEST_CASE(slot_comes_back_when_its_users_context_stands_still)
{
    asio::io_context slow;
    asio::io_context io;
    auto o = options_of(1);
    o.cleanup_timeout = 50ms;
    pool p(io.get_executor(), o);
    run_on(io, [&]() -> asio::awaitable<void> {
        lease held = co_await p.acquire();
        auto* shared = &*held;
        asio::co_spawn(
            slow, [shared]() -> asio::awaitable<void> { co_await shared->execute("select pg_sleep(600)"); },
            asio::detached);
        slow.poll(); // it waits for the server, and its context is never run again
        held.release();
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        co_await p.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()
