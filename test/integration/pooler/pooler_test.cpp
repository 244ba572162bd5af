#include "integration/connection/support.hpp"
#include "integration/pooler/bouncer.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <deque>
#include <tuple>

using namespace std::chrono_literals;
using pgcoro::pool;
using pgcoro::pooler_mode;

namespace
{

pgcoro::connection_options through(const bouncer& b, pooler_mode mode)
{
    auto options = pgcoro::connection_options::from_uri(b.uri());
    options.pooler = mode;
    return options;
}

bouncer& shared_bouncer(pooler_mode mode)
{
    static bouncer session(shared_server(), "session", 12);
    static bouncer transaction(shared_server(), "transaction", 4);
    shared_server();
    return mode == pooler_mode::session ? session : transaction;
}

pgcoro::connection_options through(pooler_mode mode) { return through(shared_bouncer(mode), mode); }

pgcoro::pool_options pool_through(pooler_mode mode)
{
    pgcoro::pool_options o;
    o.connection = through(mode);
    o.size = 8;
    o.max_overflow = 0;
    return o;
}

void make_accounts()
{
    shared_server().psql(
        "drop table if exists bounced; create table bounced (id int primary key, cents bigint);"
        "insert into bounced select i, 100 from generate_series(1, 4) i");
}

asio::awaitable<std::string> setting(pgcoro::connection& c, const char* name)
{
    auto text = co_await c.query_value<std::string>("select current_setting($1)", name);
    co_return text;
}

// The option is left out.
std::string error_without_the_option(const bouncer& b)
{
    auto options = pgcoro::connection_options::from_uri(b.uri());
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == pgcoro::connection_failure::options);
    BOOST_TEST(!e.is_transient());
    return e.what();
}

const auto modes = boost::unit_test::data::make({pooler_mode::session, pooler_mode::transaction});

// In functions that are no templates, unlike the cases: for each mode.

void statements_streams_pipelines_and_copy_work_in(pooler_mode mode)
{
    make_accounts();
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, pool_through(mode));
        // More clients than the pooler has connections, and the same statements on all of them.
        auto work = [&]() -> asio::awaitable<void> {
            for (int i = 0; i < 20; ++i) {
                auto held = co_await p.acquire();
                auto n = co_await held->query_value<int>("select $1::int + 1", i);
                BOOST_TEST(n == i + 1);
                auto pipe = held->pipeline();
                auto one = pipe.query_value<int>("select $1::int", i);
                pipe.execute("select count(*) from bounced where id = $1", i);
                co_await pipe.run();
                BOOST_TEST(one.get() == i);
                auto apart = held->pipeline(pgcoro::barrier::each);
                for (int k = 0; k < 5; ++k) apart.execute("select $1::int", k);
                co_await apart.run();
                int rows = 0;
                auto stream = held->stream<int>("select generate_series(1, $1::int)", 500);
                while (co_await stream.next()) ++rows;
                BOOST_TEST(rows == 500);
            }
        };
        auto executor = co_await asio::this_coro::executor;
        std::deque<beside> callers;
        for (int i = 0; i < 8; ++i) callers.emplace_back(executor, work);
        for (auto& c : callers) {
            while (!c.done()) co_await yield();
            if (c.error()) std::rethrow_exception(c.error());
        }
        auto held = co_await p.acquire();
        std::vector<std::tuple<int, std::int64_t>> rows;
        for (int i = 10; i < 2010; ++i) rows.emplace_back(i, 1);
        pgcoro::target bounced("bounced");
        auto copied = co_await held->copy_in(bounced, rows);
        BOOST_TEST(copied == 2000u);
        auto out = held->copy_out<std::tuple<int, std::int64_t>>("select * from bounced where id >= 10");
        std::size_t read = 0;
        while (co_await out.next()) ++read;
        BOOST_TEST(read == 2000u);
        auto done = co_await held->execute_script("begin; delete from bounced where id >= 10; commit");
        BOOST_TEST(done == 3u);
    });
}

void deadlocks_are_retried_in(pooler_mode mode)
{
    make_accounts();
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = pool_through(mode);
        options.size = 4; // a transaction that waits for a lock keeps a connection of the pooler's
        pool p(executor, options);
        pgcoro::transaction_metrics metrics[4];
        auto transfers = [&](int who) -> asio::awaitable<void> {
            for (int i = 0; i < 25; ++i) {
                int from = 1 + who % 2, to = 3 - from;
                auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
                    co_await tx.execute("update bounced set cents = cents - 1 where id = $1", from);
                    co_await tx.execute("update bounced set cents = cents + 1 where id = $1", to);
                };
                pgcoro::transaction_options how{.metrics = &metrics[who]};
                co_await pgcoro::transactional(p, body, how);
            }
        };
        std::deque<beside> callers;
        for (int i = 0; i < 4; ++i) callers.emplace_back(executor, [&transfers, i] { return transfers(i); });
        for (auto& c : callers) {
            while (!c.done()) co_await yield();
            if (c.error()) std::rethrow_exception(c.error());
        }
        std::uint64_t committed = 0;
        for (auto& m : metrics) committed += m.committed;
        BOOST_TEST(committed == 100u);
    });
    BOOST_TEST(shared_server().psql("select cents from bounced where id < 3 order by id") == "100\n100");
}

void cancelling_a_coroutine_stops_its_query_on_the_server_in(pooler_mode mode)
{
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto c = co_await pgcoro::connection::connect(through(mode));
        auto asleep = [] {
            return shared_server().psql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'");
        };
        beside query(executor, [&]() -> asio::awaitable<void> { co_await c.execute("select pg_sleep(60)"); });
        while (asleep() == "0") co_await yield();
        co_await query.end();
        co_await check_usable(c);
        BOOST_TEST(asleep() == "0");
    });
}

void a_killed_backend_and_a_restarted_pooler_are_survived_in(pooler_mode mode)
{
    make_accounts();
    bouncer own(shared_server(), std::string(to_string(mode)));
    run([&]() -> asio::awaitable<void> {
        auto options = pool_through(mode);
        options.connection = through(own, mode);
        options.size = 3;
        pool p(co_await asio::this_coro::executor, options);
        int attempts = 0;
        auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto pid = co_await tx.query_value<int>("select pg_backend_pid()");
            co_await tx.execute("update bounced set cents = cents + 1 where id = 1");
            if (++attempts == 1)
                shared_server().psql("select pg_terminate_backend(" + std::to_string(pid) + ", 5000)");
            co_await tx.execute("update bounced set cents = cents + 1 where id = 2");
        };
        co_await pgcoro::transactional(p, body);
        BOOST_TEST(attempts == 2);
        own.restart();
        auto after = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update bounced set cents = cents + 1 where id = 3");
        };
        co_await pgcoro::transactional(p, after);
    });
    BOOST_TEST(shared_server().psql("select cents from bounced order by id") == "101\n101\n101\n100");
}

void a_lost_answer_to_commit_is_resolved_in(pooler_mode mode)
{
    make_accounts();
    bouncer own(shared_server(), std::string(to_string(mode)));
    run([&]() -> asio::awaitable<void> {
        auto options = pool_through(mode);
        options.connection = through(own, mode);
        pool p(co_await asio::this_coro::executor, options);
        // COMMIT is held up by a deferred trigger, until its backend is killed.
        shared_server().psql("create or replace function held() returns trigger language plpgsql as $$ begin "
                             "if new.cents = 111 then perform pg_sleep(60); end if; return null; end $$; "
                             "create constraint trigger held after update on bounced deferrable initially "
                             "deferred for each row execute function held()");
        int attempts = 0;
        auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            ++attempts;
            co_await tx.execute("update bounced set cents = $1 where id = 1", attempts == 1 ? 111 : 112);
        };
        auto executor = co_await asio::this_coro::executor;
        pgcoro::transaction_metrics metrics;
        beside transfer(executor, [&]() -> asio::awaitable<void> {
            pgcoro::transaction_options how{.metrics = &metrics};
            co_await pgcoro::transactional(p, body, how);
        });
        std::string killed = "0";
        while (killed == "0") {
            co_await yield();
            killed =
                shared_server().psql("select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity "
                                     "where wait_event = 'PgSleep' and query = 'commit'");
        }
        while (!transfer.done()) co_await yield();
        BOOST_TEST(!transfer.error());
        BOOST_TEST(metrics.commits_resolved == 1u);
    });
    BOOST_TEST(shared_server().psql("select cents from bounced where id = 1") == "112");
}

} // namespace

namespace pgcoro
{
inline std::ostream& operator<<(std::ostream& out, pooler_mode m) { return out << to_string(m); }
} // namespace pgcoro

BOOST_AUTO_TEST_SUITE(pooler)

BOOST_AUTO_TEST_CASE(who_meets_a_pooler_unawares_is_told_the_option)
{
    auto what = error_without_the_option(shared_bouncer(pooler_mode::transaction));
    BOOST_TEST(contains(what, "unsupported startup parameter"));
    BOOST_TEST(contains(what, "set connection_options.pooler to session or transaction"));

    // A pooler that lets the startup packet pass: another client's statement has the name of ours.
    with_connection(through(pooler_mode::session), [](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("prepare pgcoro_2 as select 1");
        auto e = co_await failure_of<pgcoro::server_error>(c.execute("select 12345"));
        BOOST_TEST(e.sqlstate().str() == "42P05");
        BOOST_TEST(contains(e.what(), "set connection_options.pooler = transaction"));
    });
}

BOOST_AUTO_TEST_CASE(in_session_mode_the_settings_are_made_after_the_login_and_survive_the_undoing)
{
    run([]() -> asio::awaitable<void> {
        auto options = pool_through(pooler_mode::session);
        options.size = 1;
        options.connection.settings["search_path"] = "a'b, public";
        options.connection.lock_timeout = 4321ms;
        pool p(co_await asio::this_coro::executor, options);
        for (int i = 0; i < 2; ++i) {
            auto held = co_await p.acquire();
            auto lock_timeout = co_await setting(*held, "lock_timeout");
            auto path = co_await setting(*held, "search_path");
            BOOST_TEST(lock_timeout == "4321ms");
            BOOST_TEST(path == "a'b, public");
            co_await held->execute("set lock_timeout = 1");
        }
        BOOST_TEST(p.stats().connects == 1u);
    });
    auto options = through(pooler_mode::session);
    options.settings["no_such_setting"] = "1";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == pgcoro::connection_failure::options);
    BOOST_TEST(contains(e.what(), "no_such_setting"));
}

BOOST_AUTO_TEST_CASE(in_transaction_mode_the_settings_hold_in_transactions)
{
    run([]() -> asio::awaitable<void> {
        auto options = pool_through(pooler_mode::transaction);
        options.connection.settings["search_path"] = "app, public";
        options.connection.lock_timeout = 4321ms;
        pool p(co_await asio::this_coro::executor, options);
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto path = co_await tx.query_value<std::string>("select current_setting('search_path')");
            auto timeout = co_await tx.query_value<std::string>("select current_setting('lock_timeout')");
            BOOST_TEST(path == "app, public");
            BOOST_TEST(timeout == "4321ms");
        };
        co_await pgcoro::transactional(p, body);
        auto copies = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            std::string csv;
            auto keep = [&](std::string_view line) { csv += line; };
            co_await tx.copy_out_csv("select current_setting('lock_timeout') as t", keep);
            BOOST_TEST(contains(csv, "4321ms"));
        };
        co_await pgcoro::transactional(p, copies);
        auto outside = co_await p.query_value<std::string>("select current_setting('lock_timeout')");
        BOOST_TEST(outside == "0");
    });
}

BOOST_AUTO_TEST_CASE(in_transaction_mode_what_would_stay_in_the_session_is_refused_before_it_is_sent)
{
    with_connection(through(pooler_mode::transaction), [](pgcoro::connection& c) -> asio::awaitable<void> {
        for (auto* sql : {"set work_mem = '1MB'", "select set_config('a.b', 'c', false)", "listen x",
                          "create temp table t (a int)", "select pg_advisory_lock(1)",
                          "declare c cursor with hold for select 1", "prepare p as select 1"}) {
            auto e = co_await failure_of<std::logic_error>(c.execute(sql));
            BOOST_TEST(contains(e.what(), sql));
            BOOST_TEST(contains(e.what(), "pooler in transaction mode"));
            auto in_script = co_await failure_of<std::logic_error>(c.execute_script(sql));
            BOOST_TEST(contains(in_script.what(), sql));
            auto pipe = c.pipeline();
            pipe.execute("select 1");
            pipe.execute(sql);
            auto in_pipeline = co_await failure_of<std::logic_error>(pipe.run());
            BOOST_TEST(contains(in_pipeline.what(), sql));
            co_await check_usable(c);
        }
        auto channels = pgcoro::names("x");
        auto e = co_await failure_of<std::logic_error>(c.listen(channels));
        BOOST_TEST(contains(e.what(), "connect to the server itself"));
        co_await c.execute("do $$ begin update pg_class set relname = relname where false; end $$");
    });
    auto options = pool_through(pooler_mode::transaction);
    options.reset = pgcoro::reset_mode::always;
    BOOST_CHECK_THROW(options.validate(), std::invalid_argument);
}

BOOST_DATA_TEST_CASE(statements_streams_pipelines_and_copy_work, modes, mode)
{
    statements_streams_pipelines_and_copy_work_in(mode);
}
BOOST_DATA_TEST_CASE(deadlocks_are_retried, modes, mode) { deadlocks_are_retried_in(mode); }
BOOST_DATA_TEST_CASE(cancelling_a_coroutine_stops_its_query_on_the_server, modes, mode)
{
    cancelling_a_coroutine_stops_its_query_on_the_server_in(mode);
}
BOOST_DATA_TEST_CASE(a_killed_backend_and_a_restarted_pooler_are_survived, modes, mode)
{
    a_killed_backend_and_a_restarted_pooler_are_survived_in(mode);
}
BOOST_DATA_TEST_CASE(a_lost_answer_to_commit_is_resolved, modes, mode)
{
    a_lost_answer_to_commit_is_resolved_in(mode);
}

BOOST_AUTO_TEST_SUITE_END()
