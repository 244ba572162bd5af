// Statements are prepared by themselves, remembered, and prepared anew when the server lost or changed them.
#include "integration/connection/support.hpp"

using pgcoro::connection;
using pgcoro::connection_options;
using pgcoro::server_error;

namespace
{

// What is prepared on the server. Asks in a way that adds nothing to it: without the cache's help.
asio::awaitable<std::vector<std::string>> prepared(connection& c)
{
    auto sql = "select statement from pg_prepared_statements where statement not like '%pg_prepared%' "
               "order by prepare_time";
    auto rows = co_await c.query_as<std::string>(sql);
    co_return rows;
}

connection_options with_cache(std::size_t size)
{
    auto options = shared_options();
    options.statement_cache_size = size;
    return options;
}

struct preparations : pgcoro::observer
{
    void on_query(const pgcoro::query_event& e) noexcept override { count += e.prepared_now; }
    int count = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(statement_cache)

BOOST_AUTO_TEST_CASE(a_statement_is_prepared_once)
{
    preparations seen;
    auto options = with_cache(10);
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 5; ++i) {
            auto n = co_await c.query_value<int>("select $1::int", i);
            BOOST_TEST(n == i);
        }
        BOOST_TEST(seen.count == 1);
        auto names = co_await prepared(c);
        BOOST_TEST((names == std::vector<std::string>{"select $1::int"}));
    });
}

BOOST_AUTO_TEST_CASE(other_parameter_types_are_another_statement)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        auto sql = "select pg_typeof($1)::text";
        auto a = co_await c.query_value<std::string>(sql, 1);
        BOOST_TEST(a == "integer");
        auto b = co_await c.query_value<std::string>(sql, std::int64_t(1));
        BOOST_TEST(b == "bigint");
        auto d = co_await c.query_value<std::string>(sql, true);
        BOOST_TEST(d == "boolean");
        auto again = co_await c.query_value<std::string>(sql, 2);
        BOOST_TEST(again == "integer");
        auto names = co_await prepared(c);
        BOOST_TEST(names.size() == 3u);
    });
}

BOOST_AUTO_TEST_CASE(constants_are_read_with_the_settings_of_each_run)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        auto hour = [&]() { return c.query_value<int>("select extract(hour from '2026-01-01 12:00+00'::timestamptz)::int"); };
        auto noon = [&]() {
            return c.query_value<std::int64_t>("select extract(epoch from '2026-01-01 12:00'::timestamptz)::bigint");
        };
        auto in_utc = co_await noon();
        co_await c.execute("begin");
        co_await c.query("select set_config('timezone', $1, true)", "Asia/Tokyo");
        auto local = co_await hour();
        auto in_tokyo = co_await noon();
        BOOST_TEST(local == 21);
        BOOST_TEST(in_utc - in_tokyo == 9 * 3600);
        co_await c.execute("commit");
        auto again = co_await noon();
        BOOST_TEST(again == in_utc);
    });
}

BOOST_AUTO_TEST_CASE(a_custom_setting_needs_no_other_statement)
{
    preparations seen;
    auto options = with_cache(10);
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        for (auto* tenant : {"a", "b", "c"}) {
            co_await c.query("select set_config('app.tenant', $1, false)", tenant);
            auto got = co_await c.query_value<std::string>("select current_setting('app.tenant')");
            BOOST_TEST(got == tenant);
        }
        BOOST_TEST(seen.count == 2);
        co_await c.execute("set search_path to pg_catalog");
        auto got = co_await c.query_value<std::string>("select current_setting('app.tenant')");
        BOOST_TEST(got == "c");
        BOOST_TEST(seen.count == 3); // SET
    });
}

BOOST_AUTO_TEST_CASE(a_statement_behind_a_refused_SET_is_prepared_for_what_was_set)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        auto sql = "select '-1 02:00'::interval = $1::text::interval"; // read when it is parsed, and when it runs
        auto all = c.pipeline(pgcoro::barrier::each);
        all.execute("set intervalstyle to sql_standard");
        all.execute("do $$ begin raise 'refused'; end $$");
        auto behind = all.query_value<bool>(sql, "-1 02:00");
        co_await failure_of<server_error>(all.run());
        BOOST_TEST(behind.get());
        auto others = c.pipeline(pgcoro::barrier::each);
        others.execute("set intervalstyle to nonsense");
        auto last = others.query_value<bool>(sql, "-1 02:00");
        co_await failure_of<server_error>(others.run());
        BOOST_TEST(last.get());
        co_await c.execute("reset intervalstyle");
        auto agree = co_await c.query_value<bool>(sql, "-1 02:00");
        BOOST_TEST(agree);
    });
}

BOOST_AUTO_TEST_CASE(the_least_recently_used_goes_first)
{
    preparations seen;
    auto options = with_cache(3); // the one that asks takes a place, too
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        auto run = [&](const char* sql) -> asio::awaitable<int> {
            auto before = seen.count;
            co_await c.query(sql);
            co_return seen.count - before;
        };
        auto a1 = co_await run("select 1 as a");
        auto b1 = co_await run("select 1 as b");
        auto c1 = co_await run("select 1 as c");
        BOOST_TEST(a1 + b1 + c1 == 3);
        auto a2 = co_await run("select 1 as a"); // now b is the oldest
        BOOST_TEST(a2 == 0);
        auto d1 = co_await run("select 1 as d"); // b goes
        BOOST_TEST(d1 == 1);
        auto a3 = co_await run("select 1 as a");
        auto c2 = co_await run("select 1 as c");
        BOOST_TEST(a3 + c2 == 0);
        auto b2 = co_await run("select 1 as b");
        BOOST_TEST(b2 == 1);
    });
}

BOOST_AUTO_TEST_CASE(the_server_keeps_no_more_than_the_cache_and_one_round_trip)
{
    with_connection(with_cache(5), [](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 100; ++i) {
            auto sql = "select " + std::to_string(i);
            co_await c.query(sql);
        }
        auto names = co_await prepared(c);
        BOOST_TEST(names.size() <= 6u);
        BOOST_TEST(names.size() >= 4u);
        BOOST_TEST(names.back() == "select 99");
    });
}

BOOST_AUTO_TEST_CASE(evicted_in_a_failed_transaction_they_are_deallocated_later)
{
    with_connection(with_cache(2), [](connection& c) -> asio::awaitable<void> {
        co_await c.query("select 1 as a");
        co_await c.query("select 1 as b");
        co_await c.execute("begin");
        co_await failure_of<server_error>(c.query("select 1/0"));
        for (int i = 0; i < 10; ++i) {
            auto sql = "select " + std::to_string(i);
            auto e = co_await failure_of<server_error>(c.query(sql));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("25P02"));
        }
        co_await c.execute("rollback");
        for (int i = 0; i < 5; ++i) {
            auto sql = "select -" + std::to_string(i);
            co_await c.query(sql);
        }
        auto names = co_await prepared(c);
        BOOST_TEST(names.size() <= 3u);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(without_a_cache_nothing_is_prepared)
{
    with_connection(with_cache(0), [](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            auto n = co_await c.query_value<int>("select $1::int", i);
            BOOST_TEST(n == i);
            auto e = co_await failure_of<server_error>(c.query("select nonsense"));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42703"));
        }
        auto names = co_await c.query_value<int>("select count(*)::int from pg_prepared_statements");
        BOOST_TEST(names == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_that_cannot_be_prepared_leaves_nothing_behind)
{
    with_connection(with_cache(10), [](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            auto e = co_await failure_of<server_error>(c.query("select nope from nowhere"));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42P01"));
            BOOST_TEST(e.position() == 18);
        }
        auto names = co_await prepared(c);
        BOOST_TEST(names.empty());
        co_await c.execute("create temp table nowhere (nope int)");
        auto r = co_await c.query("select nope from nowhere");
        BOOST_TEST(r.empty());
    });
}

BOOST_AUTO_TEST_CASE(one_that_fails_while_it_runs_stays_prepared)
{
    preparations seen;
    auto options = with_cache(10);
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            auto e = co_await failure_of<server_error>(c.query("select 1 / $1::int", 0));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22012"));
        }
        auto fine = co_await c.query_value<int>("select 1 / $1::int", 1);
        BOOST_TEST(fine == 1);
        BOOST_TEST(seen.count == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_type_changed_by_ddl_is_mended_outside_a_transaction)
{
    with_connection(with_cache(10), [](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t as select 1 as n");
        for (int i = 0; i < 3; ++i) {
            auto r = co_await c.query("select * from t");
            BOOST_TEST(r[0].size() == 1u + static_cast<unsigned>(i));
            auto sql = "alter table t add column c" + std::to_string(i) + " text";
            co_await c.execute(sql);
        }
        auto r = co_await c.query("select * from t");
        BOOST_TEST(r[0].size() == 4u);
        auto names = co_await c.query_value<int>(
            "select count(*)::int from pg_prepared_statements where statement = 'select * from t'");
        BOOST_TEST(names == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_type_changed_by_ddl_is_an_error_inside_a_transaction_and_mended_after_it)
{
    with_connection(with_cache(10), [](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t as select 1 as n");
        co_await c.query("select * from t");
        co_await c.execute("begin");
        co_await c.execute("alter table t add column more text");
        auto e = co_await failure_of<server_error>(c.query("select * from t"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("0A000"));
        co_await c.execute("rollback");
        auto before = co_await c.query("select * from t");
        BOOST_TEST(before[0].size() == 1u);
        co_await c.execute("alter table t add column more text");
        co_await c.execute("begin");
        auto again = co_await failure_of<server_error>(c.query("select * from t"));
        BOOST_TEST(again.sqlstate() == pgcoro::sqlstate("0A000"));
        co_await c.execute("rollback");
        co_await c.execute("begin");
        auto after = co_await c.query("select * from t");
        BOOST_TEST(after[0].size() == 2u);
        co_await c.execute("commit");
    });
}

BOOST_AUTO_TEST_CASE(three_copies_of_a_stale_statement_in_a_pipeline_are_mended)
{
    auto changed = [](pgcoro::barrier between) {
        with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
            co_await c.execute("create temp table t as select 1 as n");
            co_await c.query("select * from t");
            co_await c.execute("alter table t add column more text");
            auto all = c.pipeline(between);
            auto one = all.query_value<int>("select 1");
            auto first = all.query("select * from t");
            auto second = all.query("select * from t");
            auto third = all.query("select * from t");
            co_await all.run();
            BOOST_TEST(one.get() == 1);
            for (auto* each : {&first, &second, &third}) BOOST_TEST(each->get().get()[0].size() == 2u);
        });
    };
    changed(pgcoro::barrier::none);
    changed(pgcoro::barrier::each);
}

BOOST_AUTO_TEST_CASE(a_stale_statement_is_not_run_behind_one_that_came_after_it)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t as select 1 as n");
        co_await c.query("select * from t");
        co_await c.execute("alter table t add column more text");
        auto all = c.pipeline(pgcoro::barrier::each);
        auto before = all.query("select * from t");
        all.execute("insert into t values (2, 'b')");
        auto behind = all.query("select * from t");
        auto e = co_await failure_of<server_error>(all.run());
        BOOST_TEST(contains(e.what(), "in statement 1 of the pipeline"));
        BOOST_CHECK_THROW(before.get(), server_error);
        BOOST_TEST(behind.get().get().size() == 2u);
    });
}

BOOST_AUTO_TEST_CASE(a_stale_statement_fails_a_pipeline_with_barriers_in_a_transaction)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t as select 1 as n");
        co_await c.query("select * from t");
        co_await c.execute("alter table t add column more text");
        co_await c.execute("begin");
        auto all = c.pipeline(pgcoro::barrier::each);
        all.execute("select 1");
        all.query("select * from t");
        auto e = co_await failure_of<server_error>(all.run());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("0A000"));
        co_await c.execute("rollback");
        auto rows = co_await c.query("select * from t");
        BOOST_TEST(rows[0].size() == 2u);
    });
}

BOOST_AUTO_TEST_CASE(another_0A000_is_the_callers_and_not_repeated)
{
    preparations seen;
    auto options = with_cache(10);
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create function pg_temp.refuse() returns int language plpgsql as "
                           "$$ begin raise 'no' using errcode = '0A000'; end $$");
        auto before = seen.count;
        for (int i = 0; i < 3; ++i) {
            auto e = co_await failure_of<server_error>(c.query("select pg_temp.refuse()"));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("0A000"));
        }
        BOOST_TEST(seen.count - before == 1);
    });
}

BOOST_AUTO_TEST_CASE(statements_that_the_caller_drops_are_forgotten)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            auto n = co_await c.query_value<int>("select $1::int", i);
            BOOST_TEST(n == i);
            co_await c.execute("discard all");
        }
        co_await c.execute("begin");
        for (int i = 0; i < 3; ++i) {
            co_await c.query("select 1 as inside");
            co_await c.execute("deallocate all");
        }
        co_await c.execute("rollback");
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(statements_dropped_behind_the_caches_back_are_prepared_again)
{
    with_connection(with_cache(10), [&](connection& c) -> asio::awaitable<void> {
        auto drop = "do $$ begin execute 'deallocate all'; end $$";
        auto drop_inside = "do $$ begin execute 'deallocate all'; end $$ -- in a transaction";
        for (int i = 0; i < 3; ++i) {
            auto n = co_await c.query_value<int>("select $1::int", i);
            BOOST_TEST(n == i);
            co_await c.execute(drop);
        }
        co_await check_usable(c);
        co_await c.execute("begin");
        co_await c.query("select 1 as inside");
        co_await c.execute(drop_inside);
        auto e = co_await failure_of<server_error>(c.query("select 1 as inside"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("26000"));
        co_await c.execute("rollback");
        co_await c.query("select 1 as inside");
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(evicted_and_dropped_by_somebody_else_they_are_forgotten)
{
    with_connection(with_cache(2), [](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 20; ++i) {
            auto sql = "select " + std::to_string(i);
            co_await c.query(sql);
            if (i % 3 == 0) co_await c.execute("deallocate all");
        }
        auto names = co_await prepared(c);
        BOOST_TEST(names.size() <= 3u);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_SUITE_END()
