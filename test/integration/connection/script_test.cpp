// Scripts, rows as JSON, rows that do not fit.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/connection/json.hpp>
#include <pgcoro/transaction/transactional.hpp>
#include <pgcoro/types/types.hpp>

#include <boost/json/serialize.hpp>

using pgcoro::connection;
using pgcoro::server_error;

BOOST_AUTO_TEST_SUITE(scripts)

BOOST_AUTO_TEST_CASE(several_statements_run_and_are_counted)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto n =
            co_await c.execute_script("create temp table t (n int);; insert into t values (1), (2); -- end\n"
                                      "select * from t; do $$ begin null; end $$ -- no semicolon");
        BOOST_TEST(n == 4u);
        auto rows = co_await c.query_value<int>("select count(*)::int from t");
        BOOST_TEST(rows == 2);
        n = co_await c.execute_script("");
        BOOST_TEST(n == 0u);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(an_error_tells_statement_and_line_and_undoes_the_script)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto script =
            "create temp table gone (n int);\n-- ü\nselect 1;\nselect\n  nothing from nowhere;\nselect 2";
        auto e = co_await failure_of<server_error>(c.execute_script(script));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42P01"));
        BOOST_TEST_INFO(e.what());
        BOOST_TEST(contains(e.what(), "statement 3 of the script, in line 5"));
        auto there = co_await c.query_value<bool>("select to_regclass('gone') is not null");
        BOOST_TEST(!there);
        co_await failure_of<std::invalid_argument>(
            c.execute_script(std::string_view("select 1;\0select 2", 18)));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(copy_in_a_script_is_refused_and_the_connection_goes_on)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t (n int)");
        auto e = co_await failure_of<server_error>(c.execute_script("select 1; copy t from stdin; select 2"));
        BOOST_TEST(contains(e.what(), "use copy_in"));
        co_await check_usable(c);
        co_await failure_of<std::logic_error>(
            c.execute_script("copy (select generate_series(1, 9999)) to stdout"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_script_that_drops_prepared_statements_is_noticed)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await check_usable(c);
        co_await c.execute_script("select 1; deallocate all");
        co_await c.execute("begin"); // where nothing could be repeated
        co_await check_usable(c);
        co_await c.execute("commit");
    });
}

BOOST_AUTO_TEST_CASE(a_script_is_given_up_at_any_point)
{
    cancel_everywhere(shared_options(), [](connection& c) -> asio::awaitable<void> {
        co_await c.execute_script(
            "select pg_sleep(0.001); select generate_series(1, 10000); select pg_sleep(0.001)");
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_runs_a_script_as_part_of_itself)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, shared_server().uri());
        auto works = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("select 1"); // the first of a connection asks for the role's rights
            auto n =
                co_await tx.execute_script("create table scripted (n int); insert into scripted values (1)");
            BOOST_TEST(n == 2u);
            BOOST_TEST(!tx.id().empty());
        };
        co_await pgcoro::transactional(pool, works);
        auto fails = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto e = co_await failure_of<server_error>(tx.execute_script("delete from scripted; select x"));
            BOOST_TEST(e.position() == 30); // in the script, whatever went before it
        };
        co_await failure_of<server_error>(pgcoro::transactional(pool, fails));
        auto refused = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            // Refused before anything was sent: the next statement begins the transaction all the same.
            co_await failure_of<std::invalid_argument>(tx.query("select 1", 2));
            co_await tx.execute("delete from scripted");
            throw std::runtime_error("undo");
        };
        co_await failure_of<std::runtime_error>(pgcoro::transactional(pool, refused));
        auto n = co_await pool.query_value<int>("select count(*)::int from scripted");
        BOOST_TEST(n == 1);
        co_await pool.execute("drop table scripted");
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(odds_and_ends)

BOOST_AUTO_TEST_CASE(rows_are_json_objects)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto got = co_await c.query("select 1 as a, 'x'::text as b, null::int as c, array[true] as d");
        BOOST_TEST(boost::json::serialize(pgcoro::to_json(got[0])) ==
                   R"({"a":1,"b":"x","c":null,"d":[true]})");
        BOOST_TEST(boost::json::serialize(pgcoro::to_json(got)) ==
                   R"([{"a":1,"b":"x","c":null,"d":[true]}])");
        BOOST_TEST(pgcoro::to_json(pgcoro::result()).empty());
    });
}

BOOST_AUTO_TEST_CASE(rows_that_do_not_fit_are_errors_in_their_places)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = co_await c.try_query_as<std::int16_t>("select 20000 * n from generate_series(1, 3) n");
        BOOST_TEST(rows.size() == 3u);
        BOOST_TEST(*rows[0] == 20000);
        BOOST_TEST(!rows[1]);
        BOOST_TEST(contains(rows[2].error().what(), "60000"));
        co_await failure_of<pgcoro::mapping_error>(c.try_query_as<int>("select 1, 2"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_SUITE_END()
