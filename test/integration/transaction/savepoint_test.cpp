#include "integration/beside.hpp"
#include "integration/transaction/bank.hpp"

#include <boost/test/unit_test.hpp>

#include <functional>
#include <mutex>
#include <vector>

using pgcoro::transaction;
using pgcoro::transactional;

namespace
{

constexpr auto add = "update account set cents = cents + $1 where id = $2";
constexpr auto duplicate = "insert into account values (1, 1)";

// Each statement that the layer's caller ran is one round trip.
class counting final : public pgcoro::observer
{
public:
    void on_query(const pgcoro::query_event&) noexcept override { ++queries; }
    std::atomic<int> queries{0};
};

} // namespace

BOOST_AUTO_TEST_SUITE(savepoints)

BOOST_AUTO_TEST_CASE(what_fails_in_a_savepoint_is_undone_and_the_rest_is_committed)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto failing = [](transaction& inner) -> asio::awaitable<void> {
            BOOST_TEST(inner.depth() == 1u);
            co_await inner.execute(add, 50, 2);
            co_await inner.execute(duplicate);
        };
        auto body = [&](transaction& tx) -> asio::awaitable<int> {
            co_await tx.execute(add, 1, 1);
            bool caught = false;
            try {
                co_await tx.savepoint(failing);
            } catch (const pgcoro::server_error& e) {
                caught = e.is_constraint("account_pkey");
            }
            BOOST_TEST(caught);
            co_await tx.execute(add, 3, 3);
            co_return co_await tx.savepoint([](transaction& inner) -> asio::awaitable<int> {
                co_return co_await inner.query_value<int>("select 7");
            });
        };
        BOOST_TEST(co_await transactional(b.p, body) == 7);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "100");
        BOOST_TEST(cents(3) == "103");
    });
}

BOOST_AUTO_TEST_CASE(savepoints_nest_and_each_undoes_its_own)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        struct enough
        {};
        // Adds 1 on each of ten levels; from the seventh down it is undone.
        std::function<asio::awaitable<void>(transaction&)> deeper =
            [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            auto level = tx.depth();
            if (level == 10) throw enough();
            bool undone = false;
            try {
                co_await tx.savepoint(deeper);
            } catch (const enough&) {
                undone = true;
            }
            if (undone && level >= 7) throw enough();
        };
        co_await transactional(b.p, deeper);
        BOOST_TEST(cents(1) == "107"); // the transaction itself, and levels 1 to 6
    });
}

BOOST_AUTO_TEST_CASE(an_undone_savepoint_behind_which_nothing_is_run_is_undone_by_commit)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            try {
                co_await tx.savepoint([](transaction& inner) -> asio::awaitable<void> {
                    co_await inner.execute(add, 50, 2);
                    throw std::runtime_error("no");
                });
            } catch (const std::runtime_error&) {
            }
        };
        co_await transactional(b.p, body);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "100");
    });
}

BOOST_AUTO_TEST_CASE(savepoints_cost_no_round_trip_and_an_empty_one_nothing)
{
    run([]() -> asio::awaitable<void> {
        counting seen;
        auto options = bank::options();
        options.observer = &seen;
        bank b(co_await asio::this_coro::executor, options);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.savepoint([](transaction&) -> asio::awaitable<void> { co_return; });
            co_await tx.savepoint(
                [](transaction& inner) -> asio::awaitable<void> { co_await inner.execute(add, 1, 1); });
            co_await tx.execute(add, 1, 2);
        };
        co_await transactional(b.p, body);
        BOOST_TEST(seen.queries == 2);
        BOOST_TEST(cents(1) == "101");
    });
}

BOOST_AUTO_TEST_CASE(an_error_that_the_body_of_a_savepoint_swallows_undoes_it_and_is_thrown)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            auto swallowing = [](transaction& inner) -> asio::awaitable<void> {
                co_await inner.execute(add, 50, 2);
                try {
                    co_await inner.execute(duplicate);
                } catch (const pgcoro::server_error&) {
                }
            };
            bool thrown = false;
            try {
                co_await tx.savepoint(swallowing);
            } catch (const pgcoro::server_error& e) {
                thrown = e.is_constraint();
            }
            BOOST_TEST(thrown);
            co_await tx.execute(add, 1, 1);
        };
        co_await transactional(b.p, body);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "100");
    });
}

BOOST_AUTO_TEST_CASE(a_deadlock_in_a_savepoint_loses_the_whole_transaction_which_is_run_again)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        int refused = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            if (tx.attempt() > 1) co_return;
            try {
                co_await tx.savepoint([](transaction& inner) -> asio::awaitable<void> {
                    co_await inner.execute("do $$ begin raise 'as if' using errcode = '40P01'; end $$");
                });
            } catch (const pgcoro::server_error&) {
            }
            try {
                co_await tx.execute(add, 1, 2);
            } catch (const pgcoro::server_error& e) {
                refused += e.sqlstate() == pgcoro::sqlstates::deadlock_detected;
            }
        };
        pgcoro::transaction_metrics metrics;
        pgcoro::transaction_options options;
        options.metrics = &metrics;
        co_await transactional(b.p, body, options);
        BOOST_TEST(refused == 1);
        BOOST_TEST(metrics.attempts == 2u);
        BOOST_TEST(metrics.deadlocks == 1u);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "100");
    });
}

BOOST_AUTO_TEST_CASE(a_statement_that_never_reached_the_server_takes_neither_begin_nor_savepoint_with_it)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            auto refused = [](transaction& inner) -> asio::awaitable<void> {
                try {
                    co_await inner.execute("select 1", 2); // a parameter that the text does not mention
                } catch (const std::invalid_argument&) {
                }
                co_await inner.execute(add, 50, 2);
                throw std::runtime_error("no");
            };
            try {
                co_await tx.savepoint(refused);
            } catch (const std::runtime_error&) {
            }
            co_await tx.execute(add, 1, 1);
        };
        co_await transactional(b.p, body);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "100");
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_savepoint_is_undone_and_the_transaction_goes_on)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        bank b(executor);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            auto slow = [](transaction& inner) -> asio::awaitable<void> {
                co_await inner.execute(add, 50, 2);
                co_await inner.execute("select pg_sleep(60)");
            };
            beside given_up(executor, [&]() -> asio::awaitable<void> { co_await tx.savepoint(slow); });
            while (shared_server().psql(
                       "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "0")
                co_await yield();
            co_await given_up.end();
            BOOST_TEST(given_up.threw<boost::system::system_error>());
            co_await tx.execute(add, 3, 3);
        };
        co_await transactional(b.p, body);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "100");
        BOOST_TEST(cents(3) == "103");
    });
}

BOOST_AUTO_TEST_CASE(a_local_setting_lasts_as_long_as_the_transaction)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<std::string> {
            co_await tx.set_local("pgcoro.user", "O'Reilly");
            co_return co_await tx.query_value<std::string>("select current_setting('pgcoro.user')");
        };
        BOOST_TEST(co_await transactional(b.p, body) == "O'Reilly");
        BOOST_TEST(co_await b.p.query_value<std::string>("select current_setting('pgcoro.user', true)") ==
                   "");
    });
}

BOOST_AUTO_TEST_SUITE_END()
