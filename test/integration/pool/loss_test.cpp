// A pool whose connections are lost, whatever they were used for at that time.
#include "connection/session.hpp"
#include "integration/pool/support.hpp"

#include <boost/test/unit_test.hpp>

#include <ranges>

using pgcoro::connection_error;
using pgcoro::lease;
using pgcoro::pool;

namespace
{

std::string backends_in(std::string_view state)
{
    return shared_server().psql("select count(*) from pg_stat_activity where application_name = 'pool test' "
                                "and state = '" +
                                std::string(state) + "'");
}

// All that was lost is accounted for, and the pool serves on.
asio::awaitable<void> check_serves(pool& p, std::uint64_t lost)
{
    auto one = co_await p.query_value<int>("select 1");
    BOOST_TEST(one == 1);
    auto s = p.stats();
    BOOST_TEST(s.found_dead == lost);
    BOOST_TEST(s.in_use + s.cleaning + s.connecting + s.waiting == 0u);
    BOOST_TEST(s.idle == s.connects - s.closes);
}

// What the body does with a lease ends with the loss of its connection.
template <class Body>
void loses_its_connection(Body body)
{
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        auto held = co_await p.acquire();
        bool lost = false;
        try {
            co_await body(held);
        } catch (const connection_error& e) {
            BOOST_TEST((e.why() == pgcoro::connection_failure::lost));
            BOOST_TEST(e.is_transient());
            lost = true;
        }
        BOOST_TEST(lost);
        held.release();
        co_await check_serves(p, 1);
    });
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_loss)

BOOST_AUTO_TEST_CASE(connection_cut_behind_its_last_answer_is_not_kept)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        auto held = co_await p.acquire();
        co_await held->query("select 1");
        held->session().guard().cut(); // as a deadline does that passes with the answer
        held.release();
        co_await check_serves(p, 1);
    });
}

BOOST_AUTO_TEST_CASE(a_begin_that_finds_its_backend_dead_is_run_again_on_another)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        o.pre_ping = pgcoro::pre_ping::never;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        kill_backends();
        pgcoro::transaction_metrics metrics;
        pgcoro::transaction_options options;
        options.metrics = &metrics;
        auto body = [](pgcoro::transaction& tx) { return tx.execute("select 1"); };
        co_await pgcoro::transactional(p, body, options);
        BOOST_TEST(metrics.connections_lost == 1u);
        BOOST_TEST(p.stats().connects == 2u);
        co_await check_serves(p, 1);
    });
}

BOOST_AUTO_TEST_CASE(killed_in_the_middle_of_a_pipeline)
{
    loses_its_connection([](lease& held) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto batch = held->pipeline();
        batch.execute("select 1");
        batch.execute("select pg_sleep(600)");
        batch.execute("select 2");
        beside killer(executor, []() -> asio::awaitable<void> {
            co_await until([] { return backends_in("active") == "1"; });
            kill_backends();
        });
        std::exception_ptr failure;
        try {
            co_await batch.run();
        } catch (...) {
            failure = std::current_exception();
        }
        co_await until([&] { return killer.done(); });
        if (failure) std::rethrow_exception(failure);
    });
}

BOOST_AUTO_TEST_CASE(killed_in_a_transaction_with_nothing_under_way)
{
    loses_its_connection([](lease& held) -> asio::awaitable<void> {
        co_await held->execute("begin");
        kill_backends();
        co_await held->execute("select 1");
    });
}

BOOST_AUTO_TEST_CASE(killed_while_rows_stream)
{
    loses_its_connection([](lease& held) -> asio::awaitable<void> {
        auto rows = held->stream<int>("select generate_series(1, 100000000)");
        co_await rows.next();
        kill_backends();
        for (;;) {
            auto row = co_await rows.next(); // some are here already
            if (!row) break;
        }
    });
}

BOOST_AUTO_TEST_CASE(killed_while_a_copy_goes_out)
{
    loses_its_connection([](lease& held) -> asio::awaitable<void> {
        auto rows = held->copy_out<int>("select generate_series(1, 100000000)");
        co_await rows.next();
        kill_backends();
        for (;;) {
            auto row = co_await rows.next();
            if (!row) break;
        }
    });
}

BOOST_AUTO_TEST_CASE(killed_while_a_copy_goes_in)
{
    loses_its_connection([](lease& held) -> asio::awaitable<void> {
        co_await held->execute("create temp table copied (n int)");
        auto rows = std::views::iota(0, 10'000'000) | std::views::transform([](int n) {
                        if (n == 100'000) kill_backends();
                        return std::tuple(n);
                    });
        co_await held->copy_in("copied", rows);
    });
}

BOOST_AUTO_TEST_CASE(a_restart_costs_one_failure_where_nothing_is_checked_beforehand)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(4);
        o.pre_ping = pgcoro::pre_ping::never;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        shared_server().restart();
        int failures = 0;
        for (int i = 0; i < 9; ++i) {
            try {
                co_await p.execute("select 1");
            } catch (const connection_error&) {
                ++failures;
            }
        }
        BOOST_TEST(failures == 1);
        auto s = p.stats();
        BOOST_TEST(s.found_dead == 4u);
    });
}

BOOST_AUTO_TEST_SUITE_END()
