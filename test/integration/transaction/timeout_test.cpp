// The time limit of a transaction as its server sees it.
#include "integration/transaction/bank.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

#include <string>

using pgcoro::transaction;
using pgcoro::transactional;
using namespace std::chrono_literals;

namespace
{

constexpr auto limit_now = "select (extract(epoch from current_setting('statement_timeout')::interval) * 1000)::bigint";

asio::awaitable<void> pause(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::deferred);
}

// Checks that the server stops a statement when the time is over, not more than 50 ms late.
class limit_check
{
public:
    explicit limit_check(std::chrono::milliseconds timeout)
        : end_(std::chrono::steady_clock::now() + timeout)
    {}

    template <class On>
    asio::awaitable<void> operator()(On&& on) const
    {
        using std::chrono::milliseconds;
        auto left = std::chrono::ceil<milliseconds>(end_ - std::chrono::steady_clock::now());
        auto limit = milliseconds(co_await on.template query_value<std::int64_t>(limit_now));
        BOOST_TEST(limit.count() > 0);
        BOOST_TEST(limit.count() <= (left + 50ms).count());
    }

private:
    std::chrono::steady_clock::time_point end_;
};

std::string entries(const pgcoro::testing::server& s, const std::string& condition)
{
    return s.psql("select count(*), coalesce(sum(calls), 0) from pg_stat_statements where " + condition);
}

} // namespace

BOOST_AUTO_TEST_SUITE(transaction_timeouts)

BOOST_AUTO_TEST_CASE(shorter_limit_of_the_body_stays)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.set_local("statement_timeout", "150ms");
            for (int i = 0; i < 3; ++i) {
                BOOST_TEST(co_await tx.query_value<std::string>("show statement_timeout") == "150ms");
                co_await pause(60ms);
            }
            co_await tx.execute("select pg_sleep(60)");
        };
        std::string stopped;
        try {
            co_await transactional(b.p, body, {.timeout = 25s});
        } catch (const pgcoro::server_error& e) {
            stopped = e.sqlstate().str();
        }
        BOOST_TEST(stopped == "57014");
    });
}

BOOST_AUTO_TEST_CASE(longer_limit_of_the_body_ends_with_the_timeout)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            limit_check check(20s);
            co_await check(tx);
            for (auto longer : {"0", "1h"}) {
                co_await tx.set_local("statement_timeout", longer);
                co_await check(tx);
                co_await tx.execute("set local statement_timeout = '" + std::string(longer) + "'");
                co_await check(tx);
                co_await check(tx.with({{"statement_timeout", longer}}));
                co_await check(tx);
                auto list = tx.pipeline();
                list.execute("set local statement_timeout = 0");
                co_await list.run();
                co_await check(tx);
            }
        };
        co_await transactional(b.p, body, {.timeout = 20s});
    });
}

BOOST_AUTO_TEST_CASE(limit_holds_after_an_undone_savepoint)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            limit_check check(20s);
            co_await check(tx);
            for (int i = 0; i < 3; ++i) {
                auto inner = [&](transaction& in) -> asio::awaitable<void> {
                    co_await in.execute("select 1");
                    co_await pause(60ms);
                    co_await check(in); // a limit that is undone with the savepoint
                    throw std::runtime_error("undo");
                };
                BOOST_CHECK_THROW(co_await tx.savepoint(inner), std::runtime_error);
                co_await check(tx);
            }
        };
        co_await transactional(b.p, body, {.timeout = 20s});
    });
}

BOOST_AUTO_TEST_CASE(limits_are_one_text_in_pg_stat_statements)
{
    pgcoro::testing::server_options settings;
    settings.settings["shared_preload_libraries"] = "pg_stat_statements";
    pgcoro::testing::server server(settings);
    server.psql("create extension pg_stat_statements; create table t (n int)");
    run([&]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.connection = pgcoro::connection_options::from_uri(server.uri());
        pgcoro::pool p(co_await asio::this_coro::executor, options);
        for (auto timeout : {20s, 25s, 28s}) {
            auto body = [](transaction& tx) -> asio::awaitable<void> {
                for (int i = 0; i < 100; ++i) co_await tx.execute("insert into t values ($1)", i);
                co_await pause(60ms); // so that a limit travels with COMMIT
            };
            co_await transactional(p, body, {.timeout = timeout});
        }
    });
    BOOST_TEST(server.psql("select count(*) from t") == "300");
    BOOST_TEST(entries(server, "query ilike '%set local%'") == "0|0");
    // As a parameter, and as a constant, which is counted as a parameter.
    std::string limits = "query like '%set_config(%) where%interval%'";
    BOOST_TEST(std::stoi(entries(server, limits)) <= 2);
    auto calls = std::stoi(server.psql("select sum(calls) from pg_stat_statements where " + limits));
    BOOST_TEST(calls >= 6); // with the first statement, and with COMMIT
}

BOOST_AUTO_TEST_SUITE_END()
