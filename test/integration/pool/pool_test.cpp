#include "integration/pool/support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <deque>
#include <set>

using pgcoro::lease;
using pgcoro::pool;
using pgcoro::pool_options;

namespace
{

asio::awaitable<int> backend(lease& held)
{
    co_return co_await held->query_value<int>("select pg_backend_pid()");
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_tests)

BOOST_AUTO_TEST_CASE(a_connection_comes_back_and_is_used_again)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(2));
        int first = 0;
        {
            lease held = co_await p.acquire();
            first = co_await backend(held);
            BOOST_TEST(p.stats().in_use == 1u);
        }
        BOOST_TEST(p.stats().idle == 1u);
        lease held = co_await p.acquire();
        int second = co_await backend(held);
        BOOST_TEST(second == first);
        BOOST_TEST(p.stats().connects == 1u);
        held.release();
        BOOST_TEST(co_await p.query_value<int>("select 42") == 42);
        BOOST_TEST(p.stats().connects == 1u);
    });
}

BOOST_AUTO_TEST_CASE(overflow_opens_while_callers_wait_and_is_closed_on_return)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(2, 2);
        o.overflow_linger = 0ms;
        pool p(co_await asio::this_coro::executor, o);
        std::deque<lease> held;
        for (int i = 0; i < 4; ++i) {
            lease one = co_await p.acquire();
            held.push_back(std::move(one));
        }
        BOOST_TEST(p.stats().in_use == 4u);
        held.clear();
        BOOST_TEST(p.stats().idle == 2u);
        BOOST_TEST(p.stats().closes == 2u);
    });
}

BOOST_AUTO_TEST_CASE(callers_are_served_in_the_order_of_asking)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        lease held = co_await p.acquire();
        std::vector<int> served;
        auto ask = [&](int who) -> asio::awaitable<void> {
            lease mine = co_await p.acquire();
            served.push_back(who);
            co_await mine->execute("select 1");
        };
        std::deque<beside> callers;
        for (int i = 0; i < 20; ++i) {
            callers.emplace_back(executor, [&ask, i] { return ask(i); });
            co_await until([&] { return p.stats().waiting == static_cast<std::size_t>(i + 1); });
        }
        held.release();
        co_await until([&] { return served.size() == 20; });
        BOOST_TEST(std::is_sorted(served.begin(), served.end()));
        BOOST_TEST(p.stats().connects == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_timeout_explains_itself)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        lease held = co_await p.acquire();
        std::string what;
        try {
            co_await p.acquire(20ms);
        } catch (const pgcoro::pool_timeout& e) {
            what = e.what();
            BOOST_TEST(e.is_transient());
        }
        BOOST_TEST_CONTEXT(what)
        {
            for (auto* part : {"pool test", "1 in use", "0 idle", "at most 1", "size 1", "max_overflow 0"})
                BOOST_TEST(what.find(part) != what.npos, part << " is missing");
        }
        BOOST_TEST(p.stats().waiting == 0u);
        held.release();
        BOOST_TEST(p.stats().idle == 1u);
    });
}

BOOST_AUTO_TEST_CASE(who_comes_after_max_waiters_is_refused_at_once)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(1);
        o.max_waiters = 1;
        pool p(executor, o);
        lease held = co_await p.acquire();
        auto ask = [&]() -> asio::awaitable<void> { lease mine = co_await p.acquire(); };
        beside first(executor, ask);
        co_await until([&] { return p.stats().waiting == 1; });
        BOOST_CHECK_THROW(co_await p.acquire(), pgcoro::pool_timeout);
        held.release();
        co_await until([&] { return first.done(); });
        BOOST_TEST(!first.error());
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_caller_leaves_the_queue_and_the_next_is_served)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        lease held = co_await p.acquire();
        auto ask = [&]() -> asio::awaitable<void> { lease mine = co_await p.acquire(); };
        beside first(executor, ask);
        beside second(executor, ask);
        co_await until([&] { return p.stats().waiting == 2; });
        first.cancel();
        co_await until([&] { return first.done(); });
        BOOST_TEST(first.threw<boost::system::system_error>());
        BOOST_TEST(p.stats().waiting == 1u);
        held.release();
        co_await until([&] { return second.done(); });
        BOOST_TEST(!second.error());
        BOOST_TEST(p.stats().idle == 1u);
    });
}

BOOST_AUTO_TEST_CASE(cancelled_at_the_very_moment_it_is_served_nothing_is_lost)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        lease held = co_await p.acquire();
        auto ask = [&]() -> asio::awaitable<void> {
            lease mine = co_await p.acquire();
            co_await mine->execute("select 1");
        };
        beside first(executor, ask);
        beside second(executor, ask);
        co_await until([&] { return p.stats().waiting == 2; });
        held.release(); // the first is on its way
        first.cancel();
        co_await until([&] { return first.done() && second.done(); });
        BOOST_TEST(!second.error());
        co_await until([&] { return p.stats().idle == 1; });
        BOOST_TEST(p.stats().in_use == 0u);
    });
}

BOOST_AUTO_TEST_CASE(cancelled_while_connecting_the_connection_lands_in_the_pool)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        auto ask = [&]() -> asio::awaitable<void> { lease mine = co_await p.acquire(); };
        beside first(executor, ask);
        co_await until([&] { return p.stats().connecting == 1; });
        first.cancel();
        co_await until([&] { return first.done(); });
        co_await until([&] { return p.stats().idle == 1; });
        BOOST_TEST(p.stats().connects == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_connection_killed_while_idle_is_not_handed_out)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(3);
        o.alive_bypass = 0ms;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        BOOST_TEST(p.stats().idle == 3u);
        shared_server().psql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where "
                             "application_name = 'pool test'");
        for (int i = 0; i < 3; ++i) {
            auto one = co_await p.query_value<int>("select 1");
            BOOST_TEST(one == 1);
        }
        BOOST_TEST(p.stats().found_dead >= 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_restarted_server_is_found_again)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(4);
        o.alive_bypass = 0ms;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        shared_server().restart();
        for (int i = 0; i < 8; ++i) {
            auto one = co_await p.query_value<int>("select 1");
            BOOST_TEST(one == 1);
        }
        // A connect that was begun next to a check may still be on its way.
        co_await until([&] { return p.stats().connecting + p.stats().cleaning == 0; });
        auto& server = shared_server();
        server.stop();
        std::string what;
        try {
            co_await p.acquire(200ms);
        } catch (const pgcoro::pool_timeout& e) {
            what = e.what();
        }
        BOOST_TEST(what.find("the last connect failed") != what.npos, what);
        server.start();
        auto one = co_await p.query_value<int>("select 1");
        BOOST_TEST(one == 1);
    });
}

BOOST_AUTO_TEST_CASE(what_was_left_in_a_transaction_or_mid_query_is_clean_for_the_next)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        co_await p.execute("drop table if exists left_behind");
        co_await p.execute("create table left_behind (n int)");
        {
            lease held = co_await p.acquire();
            co_await held->execute("begin");
            co_await held->execute("insert into left_behind values (1)");
        }
        BOOST_TEST(co_await p.query_value<int>("select count(*)::int from left_behind") == 0);
        {
            lease held = co_await p.acquire();
            co_await held->execute("begin");
            BOOST_CHECK_THROW(co_await held->execute("select 1/0"), pgcoro::server_error);
        }
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        auto query = [&]() -> asio::awaitable<void> {
            lease held = co_await p.acquire();
            co_await held->execute("select pg_sleep(60)");
        };
        beside cancelled(executor, query);
        co_await until([&] { return p.stats().in_use == 1; });
        co_await pause(20ms);
        cancelled.cancel();
        BOOST_TEST(co_await p.query_value<int>("select 2") == 2);
        BOOST_TEST(cancelled.done());
        BOOST_TEST(p.stats().cleanups == 3u);
        BOOST_TEST(p.stats().connects == 1u); // the same connection all along
    });
}

BOOST_AUTO_TEST_CASE(an_empty_lease_says_so)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        lease held = co_await p.acquire();
        lease other = std::move(held);
        BOOST_CHECK_THROW(held->is_open(), std::logic_error);
        other.release();
        other.release();
        BOOST_CHECK_THROW(*other, std::logic_error);
        BOOST_TEST(p.stats().idle == 1u);
        BOOST_CHECK_THROW(lease().get(), std::logic_error);
        pool moved = std::move(p);
        BOOST_CHECK_THROW(co_await p.acquire(), std::logic_error);
        BOOST_TEST(co_await moved.query_value<int>("select 1") == 1);
    });
}

BOOST_AUTO_TEST_CASE(verify_tells_the_reasons_apart)
{
    using pgcoro::connection_failure;
    auto reason = [](pool_options o) {
        return run([&]() -> asio::awaitable<connection_failure> {
            pool p(co_await asio::this_coro::executor, o);
            try {
                co_await p.verify();
            } catch (const pgcoro::connection_error& e) {
                co_return e.why();
            }
            co_return connection_failure::other;
        });
    };
    auto o = options_of(1);
    o.connection.parameters["dbname"] = "nowhere";
    BOOST_TEST((reason(o) == connection_failure::no_such_database));
    o = options_of(1);
    o.connection.parameters["port"] = "1";
    BOOST_TEST((reason(o) == connection_failure::refused));
    o = options_of(1);
    o.connection.parameters["user"] = "nobody_at_all";
    BOOST_TEST((reason(o) == connection_failure::authentication));
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        co_await p.verify();
    });
}

BOOST_AUTO_TEST_CASE(who_waits_for_what_cannot_come_is_told_at_once)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(2);
        o.connection.parameters["dbname"] = "nowhere";
        pool p(co_await asio::this_coro::executor, o);
        try {
            co_await p.acquire();
            BOOST_ERROR("a connection to no database");
        } catch (const pgcoro::connection_error& e) {
            BOOST_TEST((e.why() == pgcoro::connection_failure::no_such_database));
            BOOST_TEST(e.sqlstate().str() == "3D000");
        }
        BOOST_CHECK_THROW(co_await p.warm_up(), pgcoro::connection_error);
    });
}

BOOST_AUTO_TEST_CASE(on_connect_runs_before_anyone_gets_the_connection_and_its_failure_is_a_failed_connect)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        int runs = 0;
        o.on_connect = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            ++runs;
            if (runs == 1) throw std::runtime_error("not yet");
            co_await c.execute("set search_path = pg_catalog");
        };
        pool p(co_await asio::this_coro::executor, o);
        auto path = co_await p.query_value<std::string>("show search_path");
        BOOST_TEST(path == "pg_catalog");
        BOOST_TEST(runs == 2);
        BOOST_TEST(p.stats().connect_failures == 1u);
    });
}

BOOST_AUTO_TEST_CASE(on_connect_is_bounded_by_the_connect_timeout_of_the_uri)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        o.connection.parameters["connect_timeout"] = "1";
        bool slow = true;
        o.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
            if (std::exchange(slow, false)) co_await pause(60s);
        };
        pool p(co_await asio::this_coro::executor, o);
        auto begun = std::chrono::steady_clock::now();
        co_await p.execute("select 1");
        BOOST_TEST(p.stats().connect_failures == 1u);
        BOOST_TEST((std::chrono::steady_clock::now() - begun < 9s)); // the default is 10 s
    });
}

BOOST_AUTO_TEST_CASE(close_waits_for_what_is_out_and_refuses_the_rest)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        lease held = co_await p.acquire();
        auto ask = [&]() -> asio::awaitable<void> { lease mine = co_await p.acquire(); };
        auto close = [&]() -> asio::awaitable<void> { co_await p.close(); };
        beside waiting(executor, ask);
        co_await until([&] { return p.stats().waiting == 1; });
        beside closing(executor, close);
        co_await until([&] { return waiting.done(); });
        BOOST_TEST(waiting.threw<pgcoro::pool_closed>());
        BOOST_TEST(!closing.done());
        BOOST_TEST(co_await held->query_value<int>("select 1") == 1);
        held.release();
        co_await until([&] { return closing.done(); });
        BOOST_TEST(p.stats().idle == 0u);
        BOOST_CHECK_THROW(co_await p.acquire(), pgcoro::pool_closed);
        co_await p.close();
    });
}

BOOST_AUTO_TEST_CASE(close_cuts_what_is_still_out_at_its_deadline)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        auto query = [&]() -> asio::awaitable<void> {
            lease held = co_await p.acquire();
            co_await held->execute("select pg_sleep(60)");
        };
        beside running(executor, query);
        co_await until([&] { return p.stats().in_use == 1; });
        co_await p.close(10ms);
        co_await until([&] { return running.done(); });
        BOOST_TEST(running.threw<pgcoro::connection_error>());
        BOOST_TEST(p.stats().in_use == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_pool_that_another_is_moved_into_ends_as_if_destroyed)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(1));
        lease held = co_await p.acquire();
        beside waiting(executor, [&]() -> asio::awaitable<void> { lease mine = co_await p.acquire(); });
        co_await until([&] { return p.stats().waiting == 1; });
        p = pool(executor, options_of(2));
        co_await until([&] { return waiting.done(); });
        BOOST_TEST(waiting.threw<pgcoro::pool_closed>());
        BOOST_TEST(co_await held->query_value<int>("select 1") == 1);
        held.release();
        BOOST_TEST(p.stats().capacity == 2u);
        BOOST_TEST(co_await p.query_value<int>("select 2") == 2);
    });
}

BOOST_AUTO_TEST_CASE(
    a_lease_let_go_while_another_coroutine_uses_its_connection_waits_for_that_and_then_cuts_it)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = options_of(1);
        options.cleanup_timeout = 50ms;
        pool p(executor, options);
        lease held = co_await p.acquire();
        auto& shared = *held;
        beside other(executor,
                     [&]() -> asio::awaitable<void> { co_await shared.execute("select pg_sleep(60)"); });
        co_await until([&] { return other.begun(); });
        held.release();
        auto next = co_await p.query_value<int>("select 1");
        BOOST_TEST(next == 1);
        co_await until([&] { return other.done(); });
        BOOST_TEST(other.threw<pgcoro::connection_error>());
    });
}

BOOST_AUTO_TEST_CASE(a_lease_may_outlive_its_pool)
{
    run([]() -> asio::awaitable<void> {
        lease held;
        {
            pool p(co_await asio::this_coro::executor, options_of(1));
            lease got = co_await p.acquire();
            held = std::move(got);
        }
        BOOST_TEST(co_await held->query_value<int>("select 1") == 1);
    });
}

BOOST_AUTO_TEST_CASE(connections_too_old_are_replaced)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        o.recycle_after = 30ms;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.execute("select 1");
        co_await until([&] { return p.stats().idle == 0; });
        BOOST_TEST(p.stats().closes == 1u);
        co_await p.execute("select 1");
        BOOST_TEST(p.stats().connects == 2u);
    });
}

BOOST_AUTO_TEST_CASE(a_connection_in_constant_use_is_replaced_at_its_age_too)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(1);
        o.recycle_after = 50ms;
        pool p(executor, o);
        bool replaced = false;
        auto ask = [&]() -> asio::awaitable<void> {
            auto first = co_await p.query_value<int>("select pg_backend_pid()");
            while (!replaced) replaced = co_await p.query_value<int>("select pg_backend_pid()") != first;
        };
        beside one(executor, ask); // there is always somebody waiting for it
        beside another(executor, ask);
        co_await until([&] { return one.done() && another.done(); });
        BOOST_TEST(!one.error());
        BOOST_TEST(!another.error());
        BOOST_TEST(p.stats().connects >= 2u);
    });
}

BOOST_AUTO_TEST_CASE(a_server_that_says_nothing_is_given_up_and_the_pool_recovers)
{
    run([]() -> asio::awaitable<void> {
        pgcoro::testing::server mine;
        auto o = options_of(2);
        o.connection = pgcoro::connection_options::from_uri(mine.uri());
        o.connection.statement_timeout = 100ms;
        o.connection.response_grace = 200ms;
        o.connection.connect_timeout = 300ms;
        o.ping_timeout = 200ms;
        o.cleanup_timeout = 300ms;
        o.alive_bypass = 0ms;
        o.ping_after = 0ms;
        pool p(co_await asio::this_coro::executor, o);
        lease held = co_await p.acquire();
        co_await p.execute("select 1");
        mine.pause();
        try {
            co_await held->execute("select 1");
            BOOST_ERROR("a paused server answered");
        } catch (const pgcoro::connection_error& e) {
            BOOST_TEST((e.why() == pgcoro::connection_failure::timeout));
        }
        BOOST_CHECK_THROW(co_await p.acquire(800ms),
                          pgcoro::pool_timeout); // ping and connect are bounded, too
        held.release();
        mine.resume();
        BOOST_TEST(co_await p.query_value<int>("select 3") == 3);
    });
}

BOOST_AUTO_TEST_CASE(evicted_connections_are_closed_the_idle_at_once_the_others_on_return)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(2));
        co_await p.warm_up();
        lease held = co_await p.acquire();
        p.evict();
        BOOST_TEST(p.stats().closes == 1u);
        BOOST_TEST(co_await held->query_value<int>("select 1") == 1);
        held.release();
        BOOST_TEST(p.stats().closes == 2u);
        co_await until([&] { return p.stats().idle == 2; }); // kept warm
        BOOST_TEST(p.stats().connects == 4u);
    });
}

BOOST_AUTO_TEST_CASE(a_suspended_pool_lets_callers_wait_until_it_is_resumed)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(2));
        co_await p.warm_up();
        p.suspend();
        auto ask = [&]() -> asio::awaitable<void> { co_await p.execute("select 1"); };
        beside waiting(executor, ask);
        BOOST_CHECK_THROW(co_await p.acquire(20ms), pgcoro::pool_timeout);
        BOOST_TEST(!waiting.done());
        BOOST_TEST(p.stats().waiting == 1u);
        p.resume();
        co_await until([&] { return waiting.done(); });
        BOOST_TEST(!waiting.error());
        BOOST_TEST(p.stats().connects == 2u);
    });
}

BOOST_AUTO_TEST_CASE(password_without_an_end_is_asked_for_at_each_connect)
{
    run([]() -> asio::awaitable<void> {
        pgcoro::testing::server_options with_password;
        with_password.auth = "scram-sha-256";
        with_password.password = "first";
        pgcoro::testing::server mine(with_password);
        auto o = options_of(1);
        o.connection = pgcoro::connection_options::from_uri(mine.tcp_uri());
        std::string secret = "first";
        int asked = 0;
        o.connection.credentials = [&]() -> asio::awaitable<pgcoro::credentials> {
            ++asked;
            co_return pgcoro::credentials{.password = secret};
        };
        pool p(co_await asio::this_coro::executor, o);
        co_await p.execute("alter role postgres password 'second'");
        secret = "second";
        p.evict();
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        BOOST_TEST(asked == 2);
        secret = "wrong";
        p.evict();
        try {
            co_await p.acquire();
            BOOST_ERROR("logged in with a wrong password");
        } catch (const pgcoro::connection_error& e) {
            BOOST_TEST((e.why() == pgcoro::connection_failure::authentication));
            BOOST_TEST(std::string(e.what()).find("wrong") == std::string::npos, e.what()); // nor any other
        }
    });
}

BOOST_AUTO_TEST_CASE(hooks_run_before_a_caller_gets_a_connection_and_after_it_gave_it_back)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        std::vector<std::string> calls;
        bool fails = false;
        o.on_acquire = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            calls.push_back("acquire");
            co_await c.execute("select 1");
            if (fails) throw std::runtime_error("hook");
        };
        o.on_release = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            calls.push_back("release");
            co_await c.execute("select 2");
        };
        pool p(co_await asio::this_coro::executor, o);
        co_await p.execute("select 3");
        co_await p.execute("select 3");
        co_await until([&] { return p.stats().idle == 1; });
        BOOST_TEST(calls == (std::vector<std::string>{"acquire", "release", "acquire", "release"}),
                   boost::test_tools::per_element());
        fails = true;
        BOOST_CHECK_THROW(co_await p.acquire(), std::runtime_error);
        fails = false;
        BOOST_TEST(p.stats().in_use == 0u);
        BOOST_TEST(co_await p.query_value<int>("select 4") == 4);
    });
}

BOOST_AUTO_TEST_CASE(a_connection_closed_by_who_has_it_is_replaced)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        auto held = co_await p.acquire();
        held->close();
        held.release();
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        BOOST_TEST(p.stats().closes == 1u);
        BOOST_TEST(p.stats().connects == 2u);
    });
}

BOOST_AUTO_TEST_CASE(a_hook_that_closes_the_connection_leaves_the_pool_usable)
{
    for (std::string where : {"connect", "acquire", "release"}) {
        run([&]() -> asio::awaitable<void> {
            auto o = options_of(1);
            int left = 1;
            auto closes = [&](const char* here) {
                return [&, here](pgcoro::connection& c) -> asio::awaitable<void> {
                    if (where == here && left-- > 0) c.close();
                    co_return;
                };
            };
            o.on_connect = closes("connect");
            o.on_acquire = closes("acquire");
            o.on_release = closes("release");
            pool p(co_await asio::this_coro::executor, o);
            for (int i = 0; i < 3; ++i) {
                try {
                    co_await p.execute("select 1");
                } catch (const std::exception& e) { // the one whose connection was closed is told
                    BOOST_TEST_MESSAGE(e.what());
                }
            }
            BOOST_TEST(co_await p.query_value<int>("select 2") == 2, where);
            co_await until([&] { return p.stats().idle == 1; });
            BOOST_TEST(p.stats().in_use == 0u, where);
            BOOST_TEST(left <= 0, where);
        });
    }
}

BOOST_AUTO_TEST_CASE(a_hook_that_takes_too_long_costs_its_connection_only)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        o.cleanup_timeout = 50ms;
        bool slow = true;
        o.on_release = [&](pgcoro::connection&) -> asio::awaitable<void> {
            if (slow) co_await pause(60s);
        };
        pool p(co_await asio::this_coro::executor, o);
        co_await p.execute("select 1");
        co_await until([&] { return p.stats().closes == 1; });
        slow = false;
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
    });
}

BOOST_AUTO_TEST_CASE(idle_connections_are_kept_alive_and_dead_ones_found_before_anyone_asks)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(2);
        o.keepalive = 20ms;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        shared_server().psql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where "
                             "application_name = 'pool test'");
        co_await until([&] { return p.stats().found_dead == 2 && p.stats().idle == 2; });
        BOOST_TEST(p.stats().connects == 4u);
    });
}

BOOST_AUTO_TEST_CASE(bad_options_are_refused_by_name)
{
    asio::io_context io;
    auto refused = [&](auto change, const char* name) {
        auto o = options_of(1);
        change(o);
        try {
            pool p(io.get_executor(), o);
            BOOST_ERROR(name << " was accepted");
        } catch (const std::invalid_argument& e) {
            BOOST_TEST(std::string(e.what()).find(name) != std::string::npos, e.what());
        }
    };
    refused([](pool_options& o) { o.size = 0; }, "size");
    refused([](pool_options& o) { o.max_overflow = 20'000; }, "max_overflow");
    refused([](pool_options& o) { o.max_connecting = 0; }, "max_connecting");
    refused([](pool_options& o) { o.acquire_timeout = -1s; }, "acquire_timeout");
    refused([](pool_options& o) { o.recycle_jitter = 1.5; }, "recycle_jitter");
    refused([](pool_options& o) { o.connection.lock_timeout = -1ms; }, "lock_timeout");
    BOOST_CHECK_THROW(pool(io.get_executor(), "postgresql://[broken"), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_lease_held_too_long_is_reported_once_with_its_place)
{
    struct watcher : pgcoro::observer
    {
        int leaks = 0;
        std::string file;
        void on_leak(const pgcoro::leak_event& e) noexcept override
        {
            ++leaks;
            file = e.acquired_at.file_name();
        }
    } seen;
    run([&]() -> asio::awaitable<void> {
        auto o = options_of(1);
        o.leak_threshold = 1ms;
        o.observer = &seen;
        pool p(co_await asio::this_coro::executor, o);
        lease held = co_await p.acquire();
        co_await until([&] { return seen.leaks > 0; });
        co_await pause(600ms);
    });
    BOOST_TEST(seen.leaks == 1);
    BOOST_TEST(seen.file.ends_with("pool_test.cpp"), seen.file);
}

BOOST_AUTO_TEST_SUITE_END()
