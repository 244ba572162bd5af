// What is told of an error, and what is left after it.
#include "integration/connection/support.hpp"
#include "integration/support/proxy.hpp"

using pgcoro::connection;
using pgcoro::connection_error;
using pgcoro::connection_failure;
using pgcoro::server_error;

namespace
{

void terminate(const connection& c)
{
    auto sql = "select pg_terminate_backend(" + std::to_string(c.backend_pid()) + ", 10000)";
    BOOST_TEST(shared_server().psql(sql) == "t");
}

} // namespace

BOOST_AUTO_TEST_SUITE(errors)

BOOST_AUTO_TEST_CASE(all_the_server_says_is_told)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t (n int constraint positive check (n > 0), m int unique)");
        auto e = co_await failure_of<server_error>(c.execute("insert into t values ($1, 1)", -1));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23514"));
        BOOST_TEST(e.severity() == "ERROR");
        BOOST_TEST(e.constraint() == "positive");
        BOOST_TEST(e.is_constraint("positive"));
        BOOST_TEST(e.diag().table == "t");
        BOOST_TEST(contains(e.detail(), "-1"));
        BOOST_TEST(e.sql() == "insert into t values ($1, 1)");
        BOOST_TEST(!e.invalidates_connection());
        auto hint = co_await failure_of<server_error>(c.query("select cuont(*) from pg_class"));
        BOOST_TEST(!hint.hint().empty());
        BOOST_TEST(hint.position() == 8);
        auto raised = co_await failure_of<server_error>(
            c.query("do $$ begin raise 'word' using detail = 'd', hint = 'h', errcode = 'XX123'; end $$"));
        BOOST_TEST(raised.sqlstate() == pgcoro::sqlstate("XX123"));
        BOOST_TEST(raised.message() == "word");
        BOOST_TEST(raised.detail() == "d");
        BOOST_TEST(raised.hint() == "h");
        BOOST_TEST(contains(raised.diag().context, "PL/pgSQL"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(texts_of_20_MB_are_shortened_in_what_and_kept_as_diagnostics)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto e = co_await failure_of<server_error>(
            c.query("do $$ declare long text := repeat('ü', 10000000); begin "
                    "raise exception using message = long, detail = long, hint = long; end $$"));
        BOOST_TEST(std::string_view(e.what()).size() < 10'000u);
        for (auto* kept : {&e.message(), &e.detail(), &e.hint()}) BOOST_TEST(kept->size() == 20'000'000u);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(an_error_in_the_middle_of_the_rows_is_an_error)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto sql = "select 1 / (5000 - n) from generate_series(1, 10000) n";
        for (int again = 0; again < 2; ++again) {
            auto e = co_await failure_of<server_error>(c.query(sql));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22012"));
            co_await check_usable(c);
        }
    });
}

BOOST_AUTO_TEST_CASE(the_servers_statement_timeout_is_a_server_error)
{
    auto options = shared_options();
    options.statement_timeout = std::chrono::milliseconds(20);
    options.response_grace = patience;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        auto e = co_await failure_of<server_error>(c.query("select pg_sleep(60)"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57014"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_backend_killed_while_idle_is_a_lost_connection)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        terminate(c);
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57P01"));
        BOOST_TEST(e.is_transient());
        BOOST_TEST(e.invalidates_connection());
        BOOST_TEST(!c.is_open());
        auto after = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(after.why() == connection_failure::lost);
        BOOST_TEST(after.sql() == "select 1");
        auto ping = co_await failure_of<connection_error>(c.ping());
        BOOST_TEST(ping.why() == connection_failure::lost);
    });
}

BOOST_AUTO_TEST_CASE(a_prepared_statement_finds_a_killed_backend_too)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.query("select 1");
        terminate(c);
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57P01"));
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(a_ping_finds_a_killed_backend)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.ping();
        terminate(c);
        auto e = co_await failure_of<connection_error>(c.ping());
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(a_backend_killed_mid_query_is_a_lost_connection)
{
    for (std::size_t cache : {0, 10}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            auto process = co_await c.query_value<int>("select pg_backend_pid()");
            auto e = co_await failure_of<connection_error>(
                c.query("select pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"));
            BOOST_TEST(e.why() == connection_failure::lost);
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57P01"));
            BOOST_TEST(contains(e.what(), "server process " + std::to_string(process) + ")"));
            BOOST_TEST(!c.is_open());
        });
    }
}

BOOST_AUTO_TEST_CASE(a_connection_that_ends_without_a_word_is_told_once)
{
    test::proxy between(test::socket_of(shared_server()),
                        [](std::string_view message) -> std::optional<test::fault> {
                            if (message.find("vanish") == message.npos) return std::nullopt;
                            return test::fault{.where = test::fault::to_client, .what = test::fault::cut};
                        });
    with_connection(
        pgcoro::connection_options::from_uri(between.uri()), [](connection& c) -> asio::awaitable<void> {
            auto process = co_await c.query_value<int>("select pg_backend_pid()");
            auto e = co_await failure_of<connection_error>(c.query("select 'vanish'"));
            BOOST_TEST(e.why() == connection_failure::lost);
            BOOST_TEST(contains(e.what(), "server process " + std::to_string(process) + "): server closed"));
            BOOST_TEST(!contains(e.what(), "invalid socket"));
            BOOST_TEST(c.backend_pid() == process); // whom to look for in the server's log
        });
}

BOOST_AUTO_TEST_CASE(a_backend_killed_in_a_transaction_is_a_lost_connection)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("begin");
        co_await c.query("select 1");
        terminate(c);
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_that_idles_for_too_long_says_so)
{
    auto options = shared_options();
    options.idle_in_transaction_session_timeout = std::chrono::milliseconds(10);
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        auto pid = std::to_string(c.backend_pid());
        co_await c.execute("begin");
        while (shared_server().psql("select count(*) from pg_stat_activity where pid = " + pid) != "0") {
        }
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("25P03"));
    });
}

BOOST_AUTO_TEST_CASE(a_backend_that_dies_after_its_rows_is_a_lost_connection)
{
    // The rows and their end arrive; then, when the implicit transaction commits, the session ends.
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t (n int)");
        co_await c.execute("create function pg_temp.die() returns trigger language plpgsql as "
                           "$$ begin perform pg_terminate_backend(pg_backend_pid()), pg_sleep(60); end $$");
        co_await c.execute("create constraint trigger late after insert on t deferrable initially deferred "
                           "for each row execute function pg_temp.die()");
        auto e = co_await failure_of<connection_error>(c.query("insert into t values (1) returning n"));
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("57P01"));
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(an_error_after_the_rows_is_an_error)
{
    for (std::size_t cache : {0, 10}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            co_await c.execute("create temp table t (n int primary key deferrable initially deferred)");
            for (int again = 0; again < 2; ++again) {
                auto e = co_await failure_of<server_error>(
                    c.query("insert into t select 1 from generate_series(1, 2) returning n"));
                BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23505"));
                co_await check_usable(c);
            }
        });
    }
}

BOOST_AUTO_TEST_CASE(a_server_killed_like_in_a_power_cut_is_a_lost_connection)
{
    pgcoro::testing::server server;
    auto uri = server.uri();
    run([&]() -> asio::awaitable<void> {
        auto c = co_await connection::connect(uri);
        server.kill();
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::lost);
        auto refused = co_await failure_of<connection_error>(connection::connect(uri));
        BOOST_TEST(refused.why() == connection_failure::refused);
        server.start();
        auto again = co_await connection::connect(uri);
        co_await check_usable(again);
    });
}

BOOST_AUTO_TEST_CASE(a_restarted_server_is_a_lost_connection)
{
    pgcoro::testing::server server;
    auto uri = server.tcp_uri();
    run([&]() -> asio::awaitable<void> {
        auto c = co_await connection::connect(uri);
        co_await c.query("select 1");
        server.restart();
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::lost);
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_SUITE_END()
