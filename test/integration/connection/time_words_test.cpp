// A constant such as 'now'::timestamptz is the time of each run, also where statements are prepared.
#include "integration/connection/support.hpp"

#include <pgcoro/multiplexer/multiplexer.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <array>

using pgcoro::connection;

namespace
{

// In each form that PostgreSQL reads as the word. True if the constant is the time of this transaction.
const std::array<std::string, 5> texts{
    "select 'now'::timestamptz = now()",
    "select ' NOW ' = now()",
    "select E'n\\x6fw'::timestamptz = now()",
    "select $$now$$ = now()",
    "select U&'\\006eow' = now()",
};

asio::awaitable<int> count_prepared(connection& c)
{
    auto n = co_await c.query_value<int>("select count(*)::int from pg_prepared_statements where statement like '%now%' "
                                         "and statement not like '%pg_prepared%'");
    co_return n;
}

constexpr int runs = 3;

} // namespace

BOOST_AUTO_TEST_SUITE(time_words)

BOOST_AUTO_TEST_CASE(constant_of_a_statement_is_the_time_of_each_run)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (auto& sql : texts)
            for (int i = 0; i < runs; ++i) {
                auto same = co_await c.query_value<bool>(sql);
                BOOST_TEST(same, sql);
            }
        auto prepared = co_await count_prepared(c);
        BOOST_TEST(prepared == 0);
    });
}

BOOST_AUTO_TEST_CASE(text_that_only_calls_now_is_still_prepared)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < runs; ++i) co_await c.query("select now(), $1::int, 'known' /* 'now' */", i);
        auto prepared = co_await count_prepared(c);
        BOOST_TEST(prepared == 1);
    });
}

BOOST_AUTO_TEST_CASE(parameters_of_an_unprepared_text_are_still_binary)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < runs; ++i) {
            auto got = co_await c.query("select $1::int8, 'now'::timestamptz = now()", std::int64_t(i));
            BOOST_TEST(got[0][0].as<std::int64_t>() == i);
            BOOST_TEST(got[0][1].as<bool>());
        }
    });
}

BOOST_AUTO_TEST_CASE(constant_with_backslash_and_without_standard_strings_is_the_time_of_each_run)
{
    auto options = shared_options();
    options.settings["standard_conforming_strings"] = "off";
    options.settings["escape_string_warning"] = "off";
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < runs; ++i) {
            auto same = co_await c.query_value<bool>("select 'n\\x6fw'::timestamptz = now()");
            BOOST_TEST(same);
        }
    });
}

BOOST_AUTO_TEST_CASE(constant_of_a_pipeline_is_the_time_of_each_run)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < runs; ++i) {
            auto batch = c.pipeline(pgcoro::barrier::each);
            std::vector<decltype(batch.query_value<bool>(texts[0]))> same;
            for (auto& sql : texts) same.push_back(batch.query_value<bool>(sql));
            co_await batch.run();
            for (std::size_t k = 0; k < texts.size(); ++k) BOOST_TEST(same[k].get(), texts[k]);
        }
    });
}

BOOST_AUTO_TEST_CASE(constant_of_a_stream_is_the_time_of_each_run)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (auto& sql : texts)
            for (int i = 0; i < runs; ++i) {
                auto rows = c.stream<bool>(sql);
                while (auto same = co_await rows.next()) BOOST_TEST(*same, sql);
            }
    });
}

BOOST_AUTO_TEST_CASE(constant_of_a_transaction_is_its_own_time)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool_options options;
        options.connection = shared_options();
        options.size = 1;
        pgcoro::pool pool(executor, options);
        for (int i = 0; i < runs; ++i) {
            auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
                for (auto& sql : texts) {
                    auto same = co_await tx.query_value<bool>(sql);
                    BOOST_TEST(same, sql);
                }
                auto batch = tx.pipeline();
                auto same = batch.query_value<bool>(texts[0]);
                co_await batch.run();
                BOOST_TEST(same.get());
            };
            co_await pgcoro::transactional(pool, body);
            auto same = co_await pool.query_value<bool>(texts[0]);
            BOOST_TEST(same);
        }
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_CASE(constant_of_a_multiplexed_statement_is_the_time_of_each_run)
{
    asio::io_context io;
    pgcoro::pool_options options;
    options.connection = shared_options();
    pgcoro::pool pool(io.get_executor(), options);
    pgcoro::multiplexer_options one;
    one.connections = 1;
    pgcoro::multiplexer mux(io.get_executor(), pool, one);
    run_on(io, [&]() -> asio::awaitable<void> {
        for (auto& sql : texts)
            for (int i = 0; i < runs; ++i) {
                auto same = co_await mux.query_value<bool>(sql);
                BOOST_TEST(same, sql);
            }
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_CASE(constant_of_a_users_prepared_statement_is_the_time_of_each_run)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto find = co_await c.prepare<int>("select 'now'::timestamptz = now() and $1 = 1 as same");
        BOOST_TEST(find.columns().size() == 1u);
        for (int i = 0; i < runs; ++i) {
            auto same = co_await find.query_value<bool>(1);
            BOOST_TEST(same);
        }
        auto prepared = co_await count_prepared(c);
        BOOST_TEST(prepared == 0);
    });
}

BOOST_AUTO_TEST_SUITE_END()
