#include "support.hpp"

#include <pgcoro/observe/span_log.hpp>

#include <algorithm>
#include <thread>

using pgcoro::multiplexer;

BOOST_AUTO_TEST_SUITE(multiplexer_statements)

BOOST_AUTO_TEST_CASE(each_caller_gets_its_own_answer_and_they_share_round_trips)
{
    multiplexed m(2);
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select $1::int", 0);
        outcomes all;
        auto ask = [&](int n) -> asio::awaitable<void> {
            auto got = co_await m.mux.read().query_value<int>("select $1::int", n);
            BOOST_TEST(got == n);
        };
        for (int i = 0; i < 1'000; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
        co_await until([&] { return all.ended() == 1'000; });
        BOOST_TEST(all.failed == 0);
        BOOST_TEST(m.mux.stats().statements == 1'001u);
        BOOST_TEST(m.mux.stats().batches < 100u);
        BOOST_TEST(m.mux.stats().waiting == 0u);
    });
}

BOOST_AUTO_TEST_CASE(all_ways_of_asking_work_as_on_a_connection)
{
    struct pair
    {
        int a;
        std::string b;
    };
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        auto& read = m.mux.read();
        for (int i = 0; i < 2; ++i) { // alone, and with others
            auto rows = co_await read.query_as<pair>("select n, 'x' || n from generate_series(1, 3) n");
            BOOST_TEST(rows.size() == 3u);
            BOOST_TEST(rows.at(2).b == "x3");
            auto none = co_await read.query_optional<int>("select 1 where false");
            BOOST_TEST(!none);
            auto got = co_await m.mux.query("select 1, 2");
            BOOST_TEST(got.columns().size() == 2u);
            auto made = co_await m.mux.execute("select from generate_series(1, 7)");
            BOOST_TEST(made == 7u);
        }
    });
}

BOOST_AUTO_TEST_CASE(reads_are_sent_first_come_first_served)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select $1::int", 0);
        std::vector<int> order;
        outcomes all;
        auto ask = [&](int n) -> asio::awaitable<void> {
            co_await m.mux.read().execute("select $1::int", n);
            order.push_back(n);
        };
        for (int i = 0; i < 500; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
        co_await until([&] { return all.ended() == 500; });
        BOOST_TEST(std::is_sorted(order.begin(), order.end()));
    });
}

BOOST_AUTO_TEST_CASE(a_read_that_fails_takes_nobody_with_it)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select 100 / $1::int", 1);
        outcomes all;
        auto ask = [&](int n) -> asio::awaitable<void> {
            auto got = co_await m.mux.read().query_value<int>("select 100 / $1::int", n);
            BOOST_TEST(got == 100 / n);
        };
        for (int i = 0; i < 60; ++i) spawn_counted(m.io.get_executor(), all, ask(i % 20));
        co_await until([&] { return all.ended() == 60; });
        BOOST_TEST(all.failed == 3);
        BOOST_TEST(m.mux.stats().run_again > 0u);
        auto e = co_await failure_of<pgcoro::server_error>(
            m.mux.read().query_value<int>("select 100 / $1::int", 0));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22012"));
        BOOST_TEST(e.sql() == "select 100 / $1::int");
        BOOST_TEST(!contains(e.what(), "pipeline"));
    });
}

BOOST_AUTO_TEST_CASE(a_write_that_fails_undoes_no_other_and_each_is_done_once)
{
    multiplexed m(2);
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop table if exists mux_write");
        co_await m.pool.execute("create table mux_write(n int primary key)");
        auto sql = "insert into mux_write values ($1)";
        co_await m.learn(sql, -1);
        co_await m.learn("select 1");
        outcomes all;
        auto write = [&](int n) -> asio::awaitable<void> { co_await m.mux.execute(sql, n); };
        auto read = [&]() -> asio::awaitable<void> { co_await m.mux.read().execute("select 1"); };
        for (int i = 0; i < 100; ++i) {
            spawn_counted(m.io.get_executor(), all, write(i % 90)); // ten are there already
            spawn_counted(m.io.get_executor(), all, read());
        }
        co_await until([&] { return all.ended() == 200; });
        BOOST_TEST(all.failed == 10);
        auto rows = co_await m.pool.query_value<std::int64_t>("select count(*) from mux_write");
        BOOST_TEST(rows == 91);
    });
}

BOOST_AUTO_TEST_CASE(a_write_whose_commit_fails_tells_its_caller)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop table if exists mux_child, mux_parent");
        co_await m.pool.execute("create table mux_parent(id int primary key)");
        co_await m.pool.execute(
            "create table mux_child(id int references mux_parent deferrable initially deferred)");
        co_await m.pool.execute("insert into mux_parent values (1)");
        auto sql = "insert into mux_child values ($1)";
        co_await m.mux.execute(sql, 1);
        outcomes all;
        auto write = [&](int n) -> asio::awaitable<void> { co_await m.mux.execute(sql, n); };
        for (int n : {1, 2, 1, 3, 1}) spawn_counted(m.io.get_executor(), all, write(n));
        co_await until([&] { return all.ended() == 5; });
        BOOST_TEST(all.failed == 2);
        auto rows = co_await m.pool.query_value<std::int64_t>("select count(*) from mux_child");
        BOOST_TEST(rows == 4);
    });
}

BOOST_AUTO_TEST_CASE(a_write_that_is_run_as_a_read_has_a_transaction_of_its_own)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop table if exists mux_read");
        co_await m.pool.execute("create table mux_read(n int primary key)");
        auto sql = "insert into mux_read values ($1)";
        outcomes all;
        auto write = [&](int n) -> asio::awaitable<void> { co_await m.mux.read().execute(sql, n); };
        for (int n : {1, 2, 2, 3, 4}) spawn_counted(m.io.get_executor(), all, write(n));
        co_await until([&] { return all.ended() == 5; });
        BOOST_TEST(all.failed == 1);
        auto rows = co_await m.pool.query_value<std::int64_t>("select count(*) from mux_read");
        BOOST_TEST(rows == 4);
    });
}

BOOST_AUTO_TEST_CASE(what_changes_the_session_runs_on_a_connection_of_its_own)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) co_await m.mux.execute("set search_path = public");
        BOOST_TEST(m.mux.stats().exclusive == 2u); // the first was alone
        co_await until([&] { return m.pool.stats().cleaning == 0; });
        BOOST_TEST(m.pool.stats().cleanups == 3u);
    });
}

BOOST_AUTO_TEST_CASE(a_slow_statement_gets_a_connection_of_its_own_and_holds_up_nobody)
{
    multiplexed m(1, {.slow_after = 250ms}, 3);
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select pg_sleep(0.5)"); // found slow
        co_await m.learn("select 1");
        bool slow_done = false;
        beside slow(m.io.get_executor(), [&]() -> asio::awaitable<void> {
            co_await m.mux.read().execute("select pg_sleep(0.5)");
            slow_done = true;
        });
        while (!slow.begun()) co_await yield();
        for (int i = 0; i < 3; ++i) co_await m.mux.read().execute("select 1");
        BOOST_TEST(!slow_done);
        BOOST_TEST(m.mux.stats().exclusive == 1u);
        co_await until([&] { return slow.done(); });
        BOOST_TEST(!slow.error());
    });
}

BOOST_AUTO_TEST_CASE(a_text_with_the_wrong_number_of_parameters_is_refused_before_it_travels)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select $1::int", 1);
        co_await failure_of<std::invalid_argument>(m.mux.read().execute("select $1::int", 1, 2));
        auto missing = m.mux.read().execute("select $1::int");
        co_await failure_of<pgcoro::server_error>(std::move(missing));
        auto one = co_await m.mux.read().query_value<int>("select $1::int", 1);
        BOOST_TEST(one == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_plan_that_a_changed_table_made_useless_is_made_anew_for_reads_and_writes)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop table if exists mux_plan");
        co_await m.pool.execute("create table mux_plan(n int)");
        auto both = [&]() -> asio::awaitable<void> {
            co_await m.mux.read().execute("select * from mux_plan");
            co_await m.mux.query("insert into mux_plan values (1) returning *");
        };
        co_await both();
        co_await both();
        co_await m.pool.execute("alter table mux_plan add column more text");
        outcomes all;
        for (int i = 0; i < 10; ++i) spawn_counted(m.io.get_executor(), all, both());
        co_await until([&] { return all.ended() == 10; });
        BOOST_TEST(all.failed == 0);
        auto rows = co_await m.pool.query_value<std::int64_t>("select count(*) from mux_plan");
        BOOST_TEST(rows == 12);
    });
}

BOOST_AUTO_TEST_CASE(large_parameters_and_results_go_both_ways_at_once)
{
    multiplexed m(2);
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select $1::text || 'x'", "");
        outcomes all;
        auto ask = [&](std::size_t size) -> asio::awaitable<void> {
            auto got = co_await m.mux.read().query_value<std::string>("select $1::text || 'x'",
                                                                      std::string(size, 'y'));
            BOOST_TEST(got.size() == size + 1);
        };
        for (std::size_t i = 0; i < 60; ++i) spawn_counted(m.io.get_executor(), all, ask(i * 20'000));
        co_await until([&] { return all.ended() == 60; });
        BOOST_TEST(all.failed == 0);
    });
}

BOOST_AUTO_TEST_CASE(ten_thousand_callers_on_four_connections_are_all_answered)
{
    multiplexed m(4);
    m.run([&]() -> asio::awaitable<void> {
        outcomes all;
        auto ask = [&](int n) -> asio::awaitable<void> {
            auto got = co_await m.mux.read().query_value<int>("select $1::int", n);
            if (got != n) throw std::runtime_error("somebody else's answer");
        };
        for (int i = 0; i < 10'000; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
        co_await until([&] { return all.ended() == 10'000; });
        BOOST_TEST(all.failed == 0);
        BOOST_TEST(m.pool.stats().connects <= 4u);
    });
}

BOOST_AUTO_TEST_CASE(callers_of_several_threads_resume_on_their_own)
{
    asio::io_context io;
    auto work = asio::make_work_guard(io);
    std::thread servant([&] { io.run(); });
    {
        pgcoro::pool pool(io.get_executor(), pool_of(3));
        multiplexer mux(io.get_executor(), pool, {.connections = 3});
        std::vector<std::thread> threads;
        std::atomic<int> right{0};
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                asio::io_context own;
                auto ask = [&](int n) -> asio::awaitable<void> {
                    auto got = co_await mux.read().query_value<int>("select $1::int", n);
                    co_await mux.execute("select $1::int", n);
                    if (got == n && own.get_executor().running_in_this_thread()) ++right;
                };
                for (int i = 0; i < 100; ++i) asio::co_spawn(own, ask(t * 1'000 + i), asio::detached);
                own.run();
            });
        for (auto& t : threads) t.join();
        BOOST_TEST(right == 400);
    }
    work.reset();
    servant.join();
}

BOOST_AUTO_TEST_CASE(what_is_run_through_a_traced_copy_is_a_span_from_the_call_to_its_answer)
{
    pgcoro::span_log log;
    auto root = pgcoro::trace_context::make();
    asio::io_context io;
    auto options = pool_of(1);
    options.observer = &log;
    options.name = "traced";
    pgcoro::pool p(io.get_executor(), options);
    pgcoro::multiplexer mux(io.get_executor(), p);
    run_on(io, [&]() -> asio::awaitable<void> {
        auto traced = mux.traced(root);
        co_await traced.read().query_value<int>("select relpages from pg_class where relname = $1",
                                                "pg_class");
        co_await mux.read().query("select 'not traced'");
        co_await failure_of<pgcoro::server_error>(traced.with_timeout(5s).execute("delete from nowhere"));
        beside asking(io.get_executor(),
                      [&]() -> asio::awaitable<void> { co_await traced.query("select pg_sleep(60)"); });
        co_await until([&] { return mux.stats().batches == 4; });
        co_await asking.end();
    });
    auto all = log.all();
    BOOST_TEST_REQUIRE(all.size() == 3u);
    auto error_type = [](const pgcoro::span_record& s) { return s.attributes.at("error.type"); };
    for (auto& s : all) {
        BOOST_TEST(s.parent_id == root.span_id_text());
        BOOST_TEST(s.attributes.at("db.client.connection.pool.name") == "traced");
    }
    BOOST_TEST(all[0].name == "SELECT pg_class");
    BOOST_TEST(all[0].attributes.at("db.response.returned_rows") == "1");
    BOOST_TEST(!all[0].failed);
    BOOST_TEST(error_type(all[1]) == "42P01");
    BOOST_TEST(error_type(all[2]) == "cancelled");
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range_are_refused)
{
    asio::io_context io;
    pgcoro::pool pool(io.get_executor(), pool_of(1));
    BOOST_CHECK_THROW(multiplexer(io.get_executor(), pool, {.connections = 0}), std::invalid_argument);
    BOOST_CHECK_THROW(multiplexer(io.get_executor(), pool, {.max_batch = 0}), std::invalid_argument);
    BOOST_CHECK_THROW(multiplexer(io.get_executor(), pool, {.timeout = -1ms}), std::invalid_argument);
    multiplexer mux(io.get_executor(), pool);
    BOOST_CHECK_THROW(mux.with_timeout(-1ms), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(timeouts_of_zero_and_too_long_to_count_never_expire)
{
    constexpr auto longest = std::chrono::milliseconds::max();
    multiplexed m(1, {.timeout = longest, .slow_after = longest});
    m.run([&]() -> asio::awaitable<void> {
        for (auto timeout : {0ms, longest, longest / 1'000'000, longest - 1ms}) {
            auto patient = m.mux.with_timeout(timeout);
            for (int i = 0; i < 2; ++i) {
                auto one = co_await patient.read().query_value<int>("select 1 from pg_sleep(0.02)");
                BOOST_TEST(one == 1);
            }
        }
        co_await m.mux.execute("select 1 from pg_sleep(0.02)");
        BOOST_TEST(m.mux.stats().exclusive == 0u);
    });
}

BOOST_AUTO_TEST_CASE(transaction_control_is_refused)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        for (auto sql : {"begin", "start transaction", "commit", "end", "rollback", "abort", "savepoint a",
                         "release a", "prepare transaction 'x'", "/* all */ Rollback to a"}) {
            auto e = co_await failure_of<std::logic_error>(m.mux.execute(sql));
            BOOST_TEST(contains(e.what(), "transactional()"), e.what());
            co_await failure_of<std::logic_error>(m.mux.read().execute(sql));
        }
        BOOST_TEST(m.pool.stats().connects == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_copy_is_refused_and_disturbs_nobody)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await failure_of<std::logic_error>(m.mux.execute("copy (select 1) to stdout"));
        auto four = co_await m.mux.read().query_value<int>("select 2 + 2");
        BOOST_TEST(four == 4);
    });
}

BOOST_AUTO_TEST_CASE(no_caller_sees_that_a_table_was_changed)
{
    constexpr int connections = 4;
    multiplexed m(connections);
    m.run([&]() -> asio::awaitable<void> {
        auto read = "select * from mux_changed where id = $1";
        auto write = "update mux_changed set v = v where id = $1 returning *";
        auto ddl = co_await pgcoro::connection::connect(shared_options());
        co_await ddl.execute_script(
            "drop table if exists mux_changed; create table mux_changed(id int, v int); "
            "insert into mux_changed select i, i from generate_series(1, 20) i");
        outcomes all;
        auto ask = [&](int i) -> asio::awaitable<void> {
            if (i % 2)
                co_await m.mux.read().execute(read, i % 20);
            else
                co_await m.mux.execute(write, i % 20);
        };
        for (int round = 0; round < 10; ++round) {
            {
                std::vector<pgcoro::lease> leases; // both are prepared on all connections
                for (int i = 0; i < connections; ++i) leases.push_back(co_await m.pool.acquire());
                for (auto& l : leases) {
                    co_await l->execute(read, 3);
                    co_await l->execute(write, 3);
                }
            }
            co_await ddl.execute_script(round % 2 ? "alter table mux_changed alter v type int"
                                                  : "alter table mux_changed alter v type bigint");
            for (int i = 0; i < 100; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
            co_await until([&] { return all.ended() == (round + 1) * 100; });
        }
        BOOST_TEST(all.failed == 0);
    });
}

BOOST_AUTO_TEST_CASE(no_caller_of_fifty_sees_ddl_that_runs_meanwhile)
{
    multiplexed m(4);
    m.run([&]() -> asio::awaitable<void> {
        auto ddl = co_await pgcoro::connection::connect(shared_options());
        co_await ddl.execute_script("drop table if exists mux_changed; create table mux_changed(id int, v int); "
                                    "insert into mux_changed select i, i from generate_series(1, 20) i");
        outcomes all;
        bool over = false;
        auto ask = [&](int i) -> asio::awaitable<void> {
            while (!over) co_await m.mux.read().execute("select * from mux_changed where id = $1", i % 20);
        };
        for (int i = 0; i < 50; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
        for (int round = 0; round < 40; ++round)
            co_await ddl.execute(round % 2 ? "alter table mux_changed alter v type int"
                                           : "alter table mux_changed alter v type bigint");
        over = true;
        co_await until([&] { return all.ended() == 50; });
        BOOST_TEST(all.failed == 0);
    });
}

BOOST_AUTO_TEST_SUITE_END()
