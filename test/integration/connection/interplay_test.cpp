// One operation behind another, of another kind, on the same connection: nothing of the first may harm the second.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/pool/pool.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <csignal>
#include <map>

using namespace boost::asio::experimental::awaitable_operators;
using pgcoro::connection;
using pgcoro::names;
using pgcoro::server_error;
using pgcoro::target;
using std::chrono::milliseconds;

namespace
{

pgcoro::pool_options one_connection()
{
    pgcoro::pool_options options;
    options.connection = shared_options();
    options.size = 1;
    options.max_overflow = 0;
    return options;
}

template <class Body>
void with_pool(pgcoro::pool_options options, Body&& body)
{
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, options);
        co_await body(pool);
        co_await pool.close();
    });
}

asio::awaitable<void> pause_for(milliseconds time)
{
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<int> read_all(pgcoro::row_stream<int>& rows)
{
    int count = 0;
    while (true) {
        auto row = co_await rows.next();
        if (!row) break;
        ++count;
    }
    co_return count;
}

struct numbered
{
    int id;
    std::string text;
};

} // namespace

BOOST_AUTO_TEST_SUITE(interplay)

BOOST_AUTO_TEST_CASE(a_pipeline_behind_a_stream_has_all_its_rows)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) { // the statement of the stream is new at first, and prepared later
            auto rows = c.stream<int>("select generate_series(1, 10)");
            auto count = co_await read_all(rows);
            BOOST_TEST(count == 10);
            auto batch = c.pipeline();
            auto three = batch.query_as<int>("select generate_series(1, 3)");
            auto four = batch.query_as<int>("select generate_series(1, 4)");
            co_await batch.run();
            BOOST_TEST(three.get().size() == 3u);
            BOOST_TEST(four.get().size() == 4u);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_query_behind_a_stream_in_a_transaction_has_its_rows)
{
    with_pool(one_connection(), [](pgcoro::pool& pool) -> asio::awaitable<void> {
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<std::size_t> {
            co_await tx.execute("select 1");
            auto rows = tx.stream<int>("select generate_series(1, 10)");
            co_await read_all(rows);
            auto found = co_await tx.query_as<int>("select generate_series(1, 3)");
            co_return found.size();
        };
        for (int i = 0; i < 3; ++i) {
            auto found = co_await pgcoro::transactional(pool, body);
            BOOST_TEST(found == 3u);
        }
    });
}

BOOST_AUTO_TEST_CASE(what_the_reset_asks_for_behind_a_stream_is_answered)
{
    with_pool(one_connection(), [](pgcoro::pool& pool) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            {
                auto lease = co_await pool.acquire();
                co_await lease->execute("prepare mine as select 1"); // the pool asks for its name to undo it
                auto rows = lease->stream<int>("select generate_series(1, 10)");
                co_await read_all(rows);
            }
            auto left = co_await pool.query_value<int>("select count(*)::int from pg_prepared_statements where from_sql");
            BOOST_TEST(left == 0);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_failing_statement_with_a_large_one_behind_it_is_its_error)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t (id int primary key, text text)");
        std::vector<numbered> rows;
        for (int i = 0; i < 200'000; ++i) rows.push_back({i < 100 ? 0 : i, std::string(20, 'x')});
        target into("t", names("id", "text"));
        auto e = co_await failure_of<server_error>(c.insert_many(into, rows));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstates::unique_violation);
        auto left = co_await c.query_value<int>("select count(*)::int from t");
        BOOST_TEST(left == 0);
        auto batch = c.pipeline();
        batch.execute("select 1/0");
        for (int i = 0; i < 20; ++i) batch.query("select length($1)", std::string(1'000'000, 'x'));
        auto late = co_await failure_of<server_error>(batch.run());
        BOOST_TEST(late.sqlstate() == pgcoro::sqlstate("22012"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_preparation_given_up_harms_no_later_transaction)
{
    auto log_before = shared_server().log().size();
    with_pool(one_connection(), [](pgcoro::pool& pool) -> asio::awaitable<void> {
        auto other = co_await connection::connect(shared_options());
        co_await other.execute_script("drop table if exists interplay_t; create table interplay_t (id int, v int)");
        for (int round = 0; round < 10; ++round) {
            co_await other.execute("begin");
            co_await other.execute("lock table interplay_t in access exclusive mode");
            // New on the connection: its preparation waits for the lock.
            auto text = "select v from interplay_t where id = " + std::to_string(round);
            auto executor = co_await asio::this_coro::executor;
            asio::steady_timer timer(executor, milliseconds(20));
            co_await (pool.query(text) || timer.async_wait(asio::use_awaitable));
            co_await other.execute("rollback");
            auto first = "select " + std::to_string(round);
            auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
                co_await tx.query(first);
                co_await tx.execute("insert into interplay_t values (1, 1)");
            };
            pgcoro::transaction_metrics metrics;
            pgcoro::transaction_options options;
            options.metrics = &metrics;
            co_await pgcoro::transactional(pool, body, options);
            BOOST_TEST(metrics.attempts == 1u);
        }
        co_await other.execute("drop table interplay_t");
    });
    BOOST_TEST(!contains(shared_server().log().substr(log_before), "prepared statement \"pgcoro_"));
}

BOOST_AUTO_TEST_CASE(a_transaction_given_up_in_its_first_statement_harms_no_later_one)
{
    with_pool(one_connection(), [](pgcoro::pool& pool) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto sleeping = [](pgcoro::transaction& tx) -> asio::awaitable<void> { co_await tx.execute("select pg_sleep(5)"); };
        auto good = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("create temp table if not exists t (n int) on commit drop");
            co_await tx.execute("insert into t values (1)");
        };
        for (int i = 0; i < 5; ++i) {
            asio::steady_timer timer(executor, milliseconds(20));
            co_await (pgcoro::transactional(pool, sleeping) || timer.async_wait(asio::use_awaitable));
            co_await pgcoro::transactional(pool, good);
        }
    });
}

BOOST_AUTO_TEST_CASE(notices_end_no_copy)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (auto notice : {std::string(60, 'E'), std::string("VALUE DOES NOT EXIST, ERROR IGNORED")}) {
            co_await c.execute_script(
                "create temp table t (id int, text text);"
                "create function pg_temp.f() returns trigger language plpgsql as $$ begin raise notice '" +
                notice +
                "'; return new; end $$;"
                "create trigger tr before insert on t for each row execute function pg_temp.f();");
            std::vector<numbered> rows;
            for (int i = 0; i < 20'000; ++i) rows.push_back({i, std::string(100, 'x')});
            auto copied = co_await c.copy_in(target("t", names("id", "text")), rows);
            auto there = co_await c.query_value<int>("select count(*)::int from t");
            BOOST_TEST(copied == 20'000u);
            BOOST_TEST(there == 20'000);
            co_await c.execute_script("drop table t; drop function pg_temp.f()");
        }
    });
}

BOOST_AUTO_TEST_CASE(a_refused_copy_ends_a_source_without_end)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute_script(
            "create temp table t (id int check (id <> 10), text text);"
            "create function pg_temp.f() returns trigger language plpgsql as $$ begin raise notice 'row'; return new; end $$;"
            "create trigger tr before insert on t for each row execute function pg_temp.f();");
        int made = 0;
        auto endless = [&]() -> asio::awaitable<std::optional<numbered>> { co_return numbered{made++, std::string(100, 'x')}; };
        auto e = co_await failure_of<server_error>(c.copy_in(target("t", names("id", "text")), endless));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23514"));
        auto there = co_await c.query_value<int>("select count(*)::int from t");
        BOOST_TEST(there == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_batch_that_ends_on_this_side_keeps_no_locks)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto other = co_await connection::connect(shared_options());
        co_await c.execute("create table interplay_locks (id int primary key, text text)");
        co_await other.execute("set lock_timeout = '20s'");
        auto batch = c.pipeline();
        batch.execute("insert into interplay_locks values ($1, $2)", 5, std::string(40'000, 'x')); // is sent at once
        batch.execute("insert into interplay_locks values ($1, 'y')", 6, "one parameter too many");
        co_await failure_of<std::invalid_argument>(batch.run());
        // Nobody uses the connection: the server must have been told already that nothing more comes.
        co_await other.execute("insert into interplay_locks values (5, 'y')");
        {
            struct row
            {
                int id;
                std::string text;
            };
            int made = 0;
            auto throwing = [&]() -> asio::awaitable<std::optional<row>> {
                if (++made > 5'000) throw std::runtime_error("the source failed");
                co_return row{made + 10, std::string(100, 'x')};
            };
            co_await failure_of<std::runtime_error>(c.copy_in(target("interplay_locks", names("id", "text")), throwing));
        }
        co_await other.execute("insert into interplay_locks values (11, 'y')");
        co_await other.execute("drop table interplay_locks");
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_copy_in_given_up_at_any_point_keeps_no_locks)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    std::optional<connection> c;
    std::optional<connection> other;
    run_on(io, [&]() -> asio::awaitable<void> {
        c = co_await connection::connect(shared_options());
        other = co_await connection::connect(shared_options());
        co_await other->execute("create table interplay_locks (id int, text text)");
    });
    target into("interplay_locks", names("id", "text"));
    bool completed = false;
    for (int turns = 0; !completed; ++turns) {
        int made = 0;
        auto few = [&]() -> asio::awaitable<std::optional<numbered>> {
            co_await asio::post(io, asio::use_awaitable);
            if (made == 20) co_return std::nullopt;
            co_return numbered{made++, std::string(10'000, 'x')};
        };
        completed = cancel_after(io, turns, [&]() -> asio::awaitable<void> { co_await c->copy_in(into, few); });
        // The connection is not used again, and nobody reads what comes to it.
        auto pid = c->backend_pid();
        run_on(io, [&]() -> asio::awaitable<void> {
            while (true) {
                auto held = co_await other->query_value<int>(
                    "select count(*)::int from pg_locks where pid = $1 and relation = 'interplay_locks'::regclass", pid);
                if (held == 0) break;
                co_await pause_for(milliseconds(1));
            }
        });
        run_on(io, [&] { return check_usable(*c); });
        BOOST_REQUIRE(turns < 10'000);
    }
    run_on(io, [&]() -> asio::awaitable<void> { co_await other->execute("drop table interplay_locks"); });
}

BOOST_AUTO_TEST_CASE(prepared_statements_stay_within_their_number)
{
    auto options = shared_options();
    options.statement_cache_size = 10;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        auto there = "select count(*)::int from pg_prepared_statements";
        for (int i = 0; i < 100; ++i) {
            auto batch = c.pipeline();
            batch.query("select $1::int + " + std::to_string(i), 1);
            co_await batch.run();
        }
        auto after_pipelines = co_await c.query_value<int>(there);
        BOOST_TEST(after_pipelines <= 10);
        for (int i = 0; i < 100; ++i) co_await c.query("select $1::int - " + std::to_string(i), 1);
        auto after_statements = co_await c.query_value<int>(there);
        BOOST_TEST(after_statements <= 10);
        auto large = c.pipeline();
        for (int i = 0; i < 500; ++i) large.query("select $1::int * " + std::to_string(i), 1);
        co_await large.run();
        auto after_a_large_one = co_await c.query_value<int>(there);
        BOOST_TEST(after_a_large_one <= 20); // what cannot be closed yet counts against what may be prepared
        co_await c.query("select 'another one'");
        auto in_the_end = co_await c.query_value<int>(there);
        BOOST_TEST(in_the_end <= 10);
    });
}

BOOST_AUTO_TEST_CASE(prepared_statements_stay_within_bounds_in_a_transaction)
{
    auto options = shared_options();
    options.statement_cache_size = 10;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        co_await c.execute("begin");
        for (int i = 0; i < 200; ++i) co_await c.query("select $1::int + " + std::to_string(i), 1);
        auto there = co_await c.query_value<int>("select count(*)::int from pg_prepared_statements");
        BOOST_TEST(there <= 20);
        co_await c.execute("commit");
    });
}

BOOST_AUTO_TEST_CASE(what_refers_to_a_closed_connection_says_so)
{
    run([]() -> asio::awaitable<void> {
        auto c = co_await connection::connect(shared_options());
        auto batch = c.pipeline();
        batch.query("select 1");
        auto rows = c.stream<int>("select 1");
        auto begun = c.stream<int>("select generate_series(1, 1000000)");
        co_await begun.next();
        auto copied = c.copy_out<int>("select 1");
        c.close();
        co_await failure_of<std::logic_error>(batch.run());
        co_await failure_of<std::logic_error>(rows.next());
        co_await failure_of<std::logic_error>(copied.next());
        co_await failure_of<std::logic_error>([](auto& stream) -> asio::awaitable<void> {
            for (;;) co_await stream.next();
        }(begun));
    });
}

BOOST_AUTO_TEST_CASE(what_refers_to_a_replaced_connection_says_so)
{
    run([]() -> asio::awaitable<void> {
        auto c = co_await connection::connect(shared_options());
        auto batch = c.pipeline();
        batch.query("select 1");
        auto rows = c.stream<int>("select 1");
        c = co_await connection::connect(shared_options());
        co_await failure_of<std::logic_error>(batch.run());
        co_await failure_of<std::logic_error>(rows.next());
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(what_refers_to_a_released_lease_says_so)
{
    with_pool(one_connection(), [](pgcoro::pool& pool) -> asio::awaitable<void> {
        auto mine = co_await pool.acquire();
        auto batch = mine->pipeline();
        batch.execute("create table interplay_of_the_wrong_one (n int)");
        auto rows = mine->stream<int>("select 1");
        mine.release();
        auto other = co_await pool.acquire();
        co_await other->execute("begin");
        co_await failure_of<std::logic_error>(batch.run());
        co_await failure_of<std::logic_error>(rows.next());
        co_await other->execute("commit");
        auto made = co_await other->query_value<int>(
            "select count(*)::int from pg_tables where tablename = 'interplay_of_the_wrong_one'");
        BOOST_TEST(made == 0);
    });
}

BOOST_AUTO_TEST_CASE(deallocate_all_in_a_stream_leaves_the_cache_in_order)
{
    auto options = shared_options();
    options.statement_cache_size = 1;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        co_await c.query("select 1");
        co_await c.query("select 2");
        auto rows = c.stream<std::tuple<int>>("deallocate all");
        co_await rows.next();
        for (int i = 0; i < 5; ++i) co_await c.query("select " + std::to_string(10 + i));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(notifications_are_polled_without_waiting)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto other = co_await connection::connect(shared_options());
        co_await c.listen(names("interplay_news"));
        co_await other.execute("notify interplay_news, 'x'");
        int got = 0;
        for (int i = 0; i < 1'000 && got == 0; ++i) {
            auto n = co_await c.wait_notification(milliseconds(0));
            if (n) ++got;
            co_await pause_for(milliseconds(5));
        }
        BOOST_TEST(got == 1);
    });
}

BOOST_AUTO_TEST_CASE(what_comes_to_an_idle_connection_is_not_its_death)
{
    auto options = one_connection();
    options.alive_bypass = milliseconds(0);
    options.on_connect = [](connection& c) -> asio::awaitable<void> { co_await c.listen(names("interplay_idle")); };
    with_pool(options, [](pgcoro::pool& pool) -> asio::awaitable<void> {
        auto other = co_await connection::connect(shared_options());
        auto pid = co_await pool.query_value<int>("select pg_backend_pid()");
        for (int i = 0; i < 5; ++i) {
            co_await other.execute("notify interplay_idle");
            co_await pause_for(milliseconds(20));
            auto now = co_await pool.query_value<int>("select pg_backend_pid()");
            BOOST_TEST(now == pid);
        }
        BOOST_TEST(pool.stats().connects == 1u);
        co_await other.query("select pg_terminate_backend($1)", pid);
        auto gone = "select count(*)::int from pg_stat_activity where pid = $1";
        while (true) {
            auto left = co_await other.query_value<int>(gone, pid);
            if (left == 0) break;
        }
        auto then = co_await pool.query_value<int>("select pg_backend_pid()");
        BOOST_TEST(then != pid);
    });
}

BOOST_AUTO_TEST_CASE(an_error_tells_the_servers_last_words)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto other = co_await connection::connect(shared_options());
        co_await c.execute("begin");
        auto pid = c.backend_pid();
        co_await other.query("select pg_terminate_backend($1)", pid);
        while (true) {
            auto left = co_await other.query_value<int>("select count(*)::int from pg_stat_activity where pid = $1", pid);
            if (left == 0) break;
        }
        auto e = co_await failure_of<pgcoro::connection_error>(c.query("select 1"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57P01"));
        BOOST_TEST(contains(e.what(), "terminating connection"));
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(a_pipeline_of_sleeping_statements_is_stopped_soon)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto batch = c.pipeline(pgcoro::barrier::each);
        for (int i = 0; i < 20; ++i) batch.query("select pg_sleep(60)");
        asio::steady_timer timer(executor, milliseconds(20));
        co_await (batch.run() || timer.async_wait(asio::use_awaitable));
        co_await check_usable(c); // each statement is stopped, one after the other
    });
}

BOOST_AUTO_TEST_CASE(statements_that_no_longer_fit_are_prepared_again)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto other = co_await connection::connect(shared_options());
        co_await other.execute_script("drop table if exists interplay_e; drop type if exists interplay_mood;"
                                      "create type interplay_mood as enum ('a'); create table interplay_e (m interplay_mood)");
        auto text = "select count(*)::int from interplay_e where m = $1";
        for (int i = 0; i < 3; ++i) {
            auto n = co_await c.query_value<int>(text, "a");
            BOOST_TEST(n == 0);
            co_await other.execute_script("drop table interplay_e; drop type interplay_mood;"
                                          "create type interplay_mood as enum ('a', 'b');"
                                          "create table interplay_e (m interplay_mood)");
        }
        co_await other.execute_script("drop table interplay_e; drop type interplay_mood");
    });
}

BOOST_AUTO_TEST_SUITE_END()
