#include "integration/connection/support.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <vector>

using namespace std::chrono_literals;
using pgcoro::lease;
using pgcoro::pool;
using pgcoro::pool_options;

namespace
{

// A server that tells every statement it runs, in its log.
pgcoro::testing::server& telling_server()
{
    static pgcoro::testing::server server = [] {
        pgcoro::testing::server_options options;
        options.settings["log_statement"] = "all";
        pgcoro::testing::server made(options);
        made.psql(
            "create role clerk; create table account (id int, cents int); insert into account values (1, 1)");
        return made;
    }();
    return server;
}

pool_options options_of_one()
{
    pool_options o;
    o.connection = pgcoro::connection_options::from_uri(telling_server().uri());
    o.size = 1;
    o.max_overflow = 0;
    o.name = "hygiene test";
    return o;
}

constexpr auto state_query =
    "select concat_ws(' ', current_user, session_user, current_setting('work_mem'),"
    " 'app', nullif(current_setting('app.tenant', true), ''),"
    " 'channels', (select count(*) from pg_listening_channels()),"
    " 'locks', (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),"
    " 'cursors', (select count(*) from pg_cursors where is_holdable),"
    " 'prepared', (select count(*) from pg_prepared_statements where from_sql),"
    " 'temporary', (select count(*) from pg_class where relnamespace = pg_my_temp_schema()))";

asio::awaitable<std::string> state(pool& p)
{
    auto held = co_await p.acquire();
    auto text = co_await held->query_value<std::string>(state_query);
    co_return text;
}

asio::awaitable<int> backend(pool& p)
{
    auto held = co_await p.acquire();
    co_return held->backend_pid();
}

using user = std::function<asio::awaitable<void>(pgcoro::connection&)>;

// Runs the users one after the other in leases of their own.
asio::awaitable<void> use_all(pool& p, std::vector<user> users)
{
    for (auto& u : users) {
        auto held = co_await p.acquire();
        co_await u(*held);
    }
}

template <class... Users>
asio::awaitable<void> use(pool& p, const Users&... users)
{
    std::vector<user> all{users...};
    return use_all(p, std::move(all));
}

user running(std::string sql)
{
    return [sql](pgcoro::connection& c) -> asio::awaitable<void> { co_await c.execute(sql); };
}

// The next user finds the session as a new one is, and it is the same session, with its statements.
void leaves_nothing(const user& who, pool_options options = options_of_one())
{
    options.cleanup_timeout = 1min; // a machine may be busy; that it is kept is told by tests of its own
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options);
        auto fresh = co_await state(p);
        auto first = co_await backend(p);
        co_await use(p, who);
        auto next = co_await state(p);
        auto second = co_await backend(p);
        BOOST_TEST(next == fresh);
        BOOST_TEST(second == first);
        BOOST_TEST(p.stats().cleanups == 1u);
        BOOST_TEST(p.stats().connects == 1u);
        auto own =
            co_await p.query_value<std::int64_t>("select count(*) from pg_prepared_statements where not "
                                                 "from_sql and statement like 'select concat_ws%'");
        BOOST_TEST(own == 1); // prepared once, and still there
    });
}

std::size_t count_of(const std::string& text, std::string_view part)
{
    std::size_t n = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
    return n;
}

// How many statements the server is told of meanwhile.
template <class Body>
std::size_t statements_during(Body&& body)
{
    auto before = telling_server().log().size();
    run(body);
    auto log = telling_server().log().substr(before);
    return count_of(log, "LOG:  execute ") + count_of(log, "LOG:  statement: ");
}

} // namespace

BOOST_AUTO_TEST_SUITE(hygiene)

BOOST_AUTO_TEST_CASE(a_setting_is_undone) { leaves_nothing(running("set work_mem = '77MB'")); }
BOOST_AUTO_TEST_CASE(a_setting_of_ones_own_is_undone) { leaves_nothing(running("set app.tenant = 'x'")); }
BOOST_AUTO_TEST_CASE(a_role_is_undone) { leaves_nothing(running("set role clerk")); }
BOOST_AUTO_TEST_CASE(a_session_authorization_is_undone)
{
    leaves_nothing(running("set session authorization clerk"));
}
BOOST_AUTO_TEST_CASE(set_config_is_undone)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("select set_config($1, $2, $3)", "work_mem", "77MB", false);
    });
}
BOOST_AUTO_TEST_CASE(next_caller_speaks_utf8_whatever_the_last_one_set)
{
    telling_server().psql("create or replace function speak(encoding text) returns void language sql as $$ "
                          "select pg_catalog.set_config('client_encoding', encoding, false) $$");
    for (auto mode : {pgcoro::reset_mode::automatic, pgcoro::reset_mode::always, pgcoro::reset_mode::never})
        for (auto* sql : {"set client_encoding to latin1", "select set_config('client_encoding', 'latin1', false)",
                          "do $$ begin execute 'set client_' || 'encoding to latin1'; end $$", "select speak('latin1')",
                          "select speak('utf' || '8')"})
            run([&]() -> asio::awaitable<void> {
                auto o = options_of_one();
                o.reset = mode;
                pool p(co_await asio::this_coro::executor, o);
                auto first = co_await backend(p);
                co_await use(p, running(sql));
                auto length = co_await p.query_value<int>("select length($1::text)", "grün");
                BOOST_TEST(length == 4, sql);
                BOOST_TEST(co_await p.query_value<std::string>("select chr(252)") == "ü");
                BOOST_TEST(co_await p.query_value<std::string>("show client_encoding") == "UTF8");
                BOOST_TEST(co_await backend(p) == first);
            });
}

BOOST_AUTO_TEST_CASE(statement_prepared_in_another_encoding_is_prepared_again_in_utf8)
{
    run([]() -> asio::awaitable<void> {
        constexpr auto length = "select length('ü')";
        auto measure = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute("set client_encoding to latin1");
            BOOST_TEST(co_await c.query_value<int>(length) == 2);
            co_await c.execute("set client_encoding to utf8");
            BOOST_TEST(co_await c.query_value<int>(length) == 1);
            co_await c.execute("set client_encoding to latin1");
        };
        auto in_pipeline = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            auto all = c.pipeline();
            all.execute("set client_encoding to latin1");
            auto other = all.query_value<int>("select length('üü')");
            co_await all.run();
            BOOST_TEST(other.get() == 4);
        };
        pool p(co_await asio::this_coro::executor, options_of_one());
        co_await use(p, user(measure), user(in_pipeline));
        BOOST_TEST(co_await p.query_value<int>(length) == 1);
        BOOST_TEST(co_await p.query_value<int>("select length('üü')") == 2);
    });
}

BOOST_AUTO_TEST_CASE(encoding_set_by_on_connect_is_refused)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of_one();
        o.on_connect = [](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute("set client_encoding to latin1");
        };
        pool p(co_await asio::this_coro::executor, o);
        auto e = co_await failure_of<pgcoro::connection_error>(p.execute("select 1"));
        BOOST_TEST(e.why() == pgcoro::connection_failure::options);
        BOOST_TEST(contains(e.what(), "on_connect set client_encoding to LATIN1"), e.what());
    });
}

BOOST_AUTO_TEST_CASE(encoding_of_the_role_gives_way_to_utf8)
{
    telling_server().psql("create role latin login superuser; alter role latin set client_encoding to latin1");
    run([]() -> asio::awaitable<void> {
        auto o = options_of_one();
        o.connection.parameters["user"] = "latin";
        pool p(co_await asio::this_coro::executor, o);
        co_await use(p, running("set work_mem = '8MB'")); // undone by RESET ALL
        BOOST_TEST(co_await p.query_value<std::string>("show client_encoding") == "UTF8");
    });
}

BOOST_AUTO_TEST_CASE(listening_is_undone)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto channels = pgcoro::names("a", "b");
        co_await c.listen(channels);
    });
}
BOOST_AUTO_TEST_CASE(a_temporary_table_is_dropped) { leaves_nothing(running("create temp table t (a int)")); }
BOOST_AUTO_TEST_CASE(an_advisory_lock_is_let_go)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("select pg_advisory_lock($1)", std::int64_t{5});
    });
}
BOOST_AUTO_TEST_CASE(a_cursor_with_hold_is_closed)
{
    leaves_nothing(running("declare c cursor with hold for select * from pg_class"));
}
BOOST_AUTO_TEST_CASE(statements_of_ones_own_are_deallocated)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("prepare p as select 1");
        co_await c.execute("prepare \"Q \"\"q\" as select 2");
        co_await c.execute("prepare gone as select 3");
        co_await c.execute("deallocate gone");
    });
}
BOOST_AUTO_TEST_CASE(all_kinds_at_once_are_undone)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute_script("create temp table t (a int); prepare p as select * from t;"
                                  "declare c cursor with hold for select * from t; listen x;"
                                  "select pg_advisory_lock(1); set statement_timeout = '1h';"
                                  "set default_transaction_read_only = on; set role clerk");
    });
}
BOOST_AUTO_TEST_CASE(what_a_do_block_may_have_done_is_undone)
{
    leaves_nothing(running("do $$ begin perform set_config('app.tenant', 'x', false); end $$"));
}
BOOST_AUTO_TEST_CASE(what_was_set_in_a_pipeline_or_a_stream_or_by_copy_is_undone)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto pipe = c.pipeline();
        pipe.execute("set work_mem = '77MB'");
        co_await pipe.run();
    });
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<std::string>("select set_config('work_mem', '77MB', false)");
        while (co_await rows.next()) {
        }
    });
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto ignore = [](std::string_view) {};
        co_await c.copy_out_csv("select set_config('work_mem', '77MB', false)", ignore);
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_left_open_and_a_failed_one_are_rolled_back)
{
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("begin");
        co_await c.execute("update account set cents = 0");
    });
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("begin");
        co_await c.execute("set work_mem = '77MB'");
        co_await failure_of<pgcoro::server_error>(c.execute("select 1 / 0"));
    });
    BOOST_TEST(telling_server().psql("select cents from account") == "1");
}

BOOST_AUTO_TEST_CASE(a_lease_let_go_in_the_middle_of_something_is_brought_back)
{
    // A query, a stream half read, a COPY in and one out, a pipeline of which the server has seen a part.
    auto cancelled = [](auto operation) {
        return [operation](pgcoro::connection& c) -> asio::awaitable<void> {
            auto executor = co_await asio::this_coro::executor;
            beside under_way(executor, [&]() -> asio::awaitable<void> { co_await operation(c); });
            while (!under_way.begun()) co_await yield();
            for (int i = 0; i < 20; ++i) co_await yield();
            co_await under_way.end();
        };
    };
    leaves_nothing(cancelled([](pgcoro::connection& c) -> asio::awaitable<void> {
        co_await c.execute("select set_config('work_mem', '77MB', false), pg_sleep(60)");
    }));
    leaves_nothing(cancelled([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto pipe = c.pipeline();
        pipe.execute("set work_mem = '77MB'");
        pipe.execute("update account set cents = 0");
        pipe.execute("select pg_sleep(60)");
        pipe.execute("select $1::text", std::string(8'000'000, 'x'));
        co_await pipe.run();
    }));
    leaves_nothing(cancelled([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto each = [](std::string_view) -> asio::awaitable<void> {
            asio::steady_timer never(co_await asio::this_coro::executor, 1h);
            co_await never.async_wait(asio::use_awaitable);
        };
        co_await c.copy_out_csv("select generate_series(1, 1000000)", each);
    }));
    leaves_nothing(cancelled([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto never = []() -> asio::awaitable<std::optional<std::tuple<int, int>>> {
            asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
            co_await timer.async_wait(asio::use_awaitable);
            co_return std::nullopt;
        };
        co_await c.copy_in("account", never);
    }));
    leaves_nothing([](pgcoro::connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<int>("select generate_series(1, 1000000)");
        co_await rows.next();
    });
    BOOST_TEST(telling_server().psql("select count(*), sum(cents) from account") == "1|1");
}

BOOST_AUTO_TEST_CASE(what_is_clean_costs_no_statement)
{
    auto told = statements_during([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of_one());
        for (int i = 0; i < 10; ++i) {
            auto held = co_await p.acquire();
            co_await held->execute("update account set cents = cents where id = $1", 1);
        }
        BOOST_TEST(p.stats().cleanups == 0u);
    });
    BOOST_TEST(told == 1 + 10u); // the connect asks which timeouts are set
    told = statements_during([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of_one());
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("set local work_mem = '77MB'");
            co_await tx.execute("select pg_advisory_xact_lock(1)");
        };
        for (int i = 0; i < 5; ++i) co_await pgcoro::transactional(p, body);
        BOOST_TEST(p.stats().cleanups == 0u);
    });
    // The connect; BEGIN, each statement with the question for the id, COMMIT.
    BOOST_TEST(told == 1 + 5 * (1 + 2 * 2 + 1));
}

BOOST_AUTO_TEST_CASE(what_is_left_is_undone_before_anyone_asks_for_it)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of_one());
        co_await use(p, running("select pg_advisory_lock(77)"));
        // Nobody uses the connection any more, and yet the lock is free for others.
        auto other = co_await pgcoro::connection::connect(telling_server().uri());
        co_await other.execute("select pg_advisory_lock(77)");
        BOOST_TEST(p.stats().acquired == 1u);
    });
}

BOOST_AUTO_TEST_CASE(notifications_that_came_for_one_user_do_not_reach_the_next)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of_one());
        auto listens = [](pgcoro::connection& c) -> asio::awaitable<void> {
            auto channels = pgcoro::names("news");
            co_await c.listen(channels);
            co_await c.execute("notify news, 'old'");
        };
        co_await use(p, listens);
        auto held = co_await p.acquire();
        auto came = co_await held->wait_notification(0ms);
        BOOST_TEST(!came.has_value());
    });
}

BOOST_AUTO_TEST_CASE(what_on_connect_set_survives_the_undoing_and_the_rest_does_not)
{
    auto options = options_of_one();
    int connected = 0;
    options.on_connect = [&](pgcoro::connection& c) -> asio::awaitable<void> {
        ++connected;
        co_await c.execute("set work_mem = '9MB'");
        co_await c.execute("select set_config('app.tenant', $1, false)", "everybody");
        co_await c.execute_script("set lock_timeout = '3s'; set role clerk");
    };
    leaves_nothing(
        [](pgcoro::connection& c) -> asio::awaitable<void> {
            auto role = co_await c.query_value<std::string>("select current_user::text");
            BOOST_TEST(role == "clerk");
            co_await c.execute_script(
                "reset role; set work_mem = '77MB'; set app.tenant = 'x'; set lock_timeout = 0");
        },
        options);
    leaves_nothing(running("discard all"), options);
    BOOST_TEST(connected == 2);
}

BOOST_AUTO_TEST_CASE(what_on_connect_left_and_a_user_too_cannot_be_told_apart_so_there_is_a_new_connection)
{
    run([]() -> asio::awaitable<void> {
        auto options = options_of_one();
        options.on_connect = [](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute("create temp table mine (a int)");
        };
        pool p(co_await asio::this_coro::executor, options);
        co_await use(p, running("select * from mine"), running("set work_mem = '77MB'"),
                     running("select * from mine"));
        BOOST_TEST(p.stats().connects == 1u);
        co_await use(p, running("create temp table other (a int)"), running("select * from mine"),
                     running("create temp table other (a int)"));
        BOOST_TEST(p.stats().connects == 2u);
    });
}

BOOST_AUTO_TEST_CASE(never_leaves_all_as_it_is_but_transactions)
{
    run([]() -> asio::awaitable<void> {
        auto options = options_of_one();
        options.reset = pgcoro::reset_mode::never;
        pool p(co_await asio::this_coro::executor, options);
        co_await use(p, running("set work_mem = '77MB'"), running("begin"));
        auto held = co_await p.acquire();
        auto work_mem = co_await held->query_value<std::string>("select current_setting('work_mem')");
        BOOST_TEST(work_mem == "77MB");
        BOOST_TEST(!held->in_transaction());
    });
}

BOOST_AUTO_TEST_CASE(always_undoes_what_no_parser_sees)
{
    telling_server().psql(
        "create or replace function behind_our_back() returns void language plpgsql as "
        "$$ begin perform set_config('app.tenant', 'x', false), pg_advisory_lock(3); end $$;"
        "create sequence if not exists numbers");
    auto options = options_of_one();
    options.reset = pgcoro::reset_mode::always;
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options);
        auto fresh = co_await state(p);
        co_await use(p, running("select behind_our_back(), nextval('numbers')"));
        auto next = co_await state(p);
        BOOST_TEST(next == fresh);
        auto held = co_await p.acquire();
        auto e = co_await failure_of<pgcoro::server_error>(held->execute("select currval('numbers')"));
        BOOST_TEST(e.sqlstate().str() == "55000"); // not yet defined in this session
        BOOST_TEST(p.stats().connects == 1u);
        BOOST_TEST(p.stats().cleanups == 3u);
    });
}

BOOST_AUTO_TEST_CASE(what_cannot_be_undone_in_time_costs_the_connection)
{
    run([]() -> asio::awaitable<void> {
        auto options = options_of_one();
        options.cleanup_timeout = 200ms;
        pool p(co_await asio::this_coro::executor, options);
        int pid = 0;
        auto stops = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute("set work_mem = '77MB'");
            pid = c.backend_pid();
            telling_server().pause(pid);
        };
        co_await use(p, stops);
        auto next = co_await backend(p);
        BOOST_TEST(next != pid);
        BOOST_TEST(p.stats().closes == 1u);
        telling_server().resume(pid);
    });
}

BOOST_AUTO_TEST_CASE(a_thousand_leases_let_go_in_the_middle_of_a_query_all_come_back_on_few_threads)
{
    auto threads = [] {
        std::size_t n = 0;
        for ([[maybe_unused]] auto& each : std::filesystem::directory_iterator("/proc/self/task")) ++n;
        return n;
    };
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = options_of_one();
        options.size = 50;
        options.max_connecting = 50;
        pool p(executor, options);
        std::size_t most = 0;
        auto before = threads();
        int sent = 0;
        auto query = [&]() -> asio::awaitable<void> {
            auto held = co_await p.acquire();
            ++sent;
            co_await held->execute("select pg_sleep(600)");
        };
        for (int round = 0; round < 20; ++round) {
            std::deque<beside> users;
            for (int i = 0; i < 50; ++i) users.emplace_back(executor, query);
            while (sent < 50 * (round + 1)) co_await yield();
            for (auto& u : users) u.cancel();
            for (auto& u : users)
                while (!u.done()) co_await yield();
            most = std::max(most, threads());
        }
        while (p.stats().idle < 50) co_await yield();
        BOOST_TEST(p.stats().cleanups == 1000u);
        BOOST_TEST(p.stats().connects == 50u);
        BOOST_TEST(most <= before + 4); // those that cancel
    });
    BOOST_TEST(
        telling_server().psql("select count(*) from pg_stat_activity where query like '%pg_sleep(600)' and "
                              "state = 'active' and pid <> pg_backend_pid()") == "0");
}

BOOST_AUTO_TEST_CASE(a_connection_outside_of_pools_is_reset_on_request)
{
    run([]() -> asio::awaitable<void> {
        auto c = co_await pgcoro::connection::connect(telling_server().uri());
        auto fresh = co_await c.query_value<std::string>(state_query);
        co_await c.execute_script(
            "create temp table t (a int); set role clerk; listen x; prepare p as select 1;"
            "select pg_advisory_lock(9)");
        co_await c.execute("begin");
        co_await c.reset();
        BOOST_TEST(!c.in_transaction());
        auto now = co_await c.query_value<std::string>(state_query);
        BOOST_TEST(now == fresh);
    });
}

BOOST_AUTO_TEST_SUITE_END()
