// Callers that give up, connections that break, and no room.
#include "support.hpp"

#include "integration/connection/cancelling.hpp"
#include "integration/support/proxy.hpp"

#include <atomic>

namespace
{

constexpr auto sleep_forever = "select pg_sleep(60 * $1::int)";

// Has the backends that run such a statement ended; gives their number.
asio::awaitable<int> kill_backends(std::string_view sql)
{
    auto conn = co_await pgcoro::connection::connect(shared_options());
    int killed = 0;
    while (killed == 0) {
        auto ended = co_await conn.query("select pg_terminate_backend(pid) from pg_stat_activity "
                                         "where query = $1 and state = 'active'",
                                         sql);
        killed = static_cast<int>(ended.size());
    }
    co_return killed;
}

} // namespace

BOOST_AUTO_TEST_SUITE(multiplexer_losses)

BOOST_AUTO_TEST_CASE(a_caller_may_give_up_at_any_point_and_the_others_get_their_answers)
{
    watchdog dog(2 * patience);
    multiplexed m;
    run_on(m.io, [&] { return m.learn("select $1::int", 0); });
    bool completed = false;
    for (int turns = 0; !completed; ++turns) {
        outcomes others;
        int right = 0;
        auto ask = [&](int n) -> asio::awaitable<void> {
            auto got = co_await m.mux.read().query_value<int>("select $1::int", n);
            right += got == n;
        };
        for (int i = 0; i < 5; ++i) spawn_counted(m.io.get_executor(), others, ask(i));
        completed = cancel_after(m.io, turns, [&] { return m.mux.read().execute("select $1::int", turns); });
        for (int i = 5; i < 10; ++i) spawn_counted(m.io.get_executor(), others, ask(i));
        m.run([&] { return until([&] { return others.ended() == 10; }); });
        BOOST_TEST(right == 10);
        BOOST_REQUIRE(turns < 1'000);
    }
    BOOST_TEST(m.pool.stats().connects == 1u);
}

BOOST_AUTO_TEST_CASE(a_statement_that_nobody_waits_for_any_more_is_stopped)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn(sleep_forever, 0);
        beside given_up(m.io.get_executor(), [&] { return m.mux.read().execute(sleep_forever, 1); });
        co_await until([&] { return m.mux.stats().connections == 1; });
        co_await given_up.end();
        BOOST_TEST(pgcoro::is_cancellation(given_up.error()));
        auto four = co_await m.mux.read().query_value<int>("select 2 + 2"); // on the only connection
        BOOST_TEST(four == 4);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_that_was_not_sent_yet_never_is)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop table if exists mux_given_up");
        co_await m.pool.execute("create table mux_given_up(n int)");
        auto held = co_await m.pool.acquire(); // the only connection
        beside given_up(m.io.get_executor(),
                        [&] { return m.mux.execute("insert into mux_given_up values (1)"); });
        co_await until([&] { return m.mux.stats().waiting == 1; });
        co_await given_up.end();
        BOOST_TEST(pgcoro::is_cancellation(given_up.error()));
        BOOST_TEST(m.mux.stats().waiting == 0u);
        held.release();
        auto rows = co_await m.mux.read().query_value<std::int64_t>("select count(*) from mux_given_up");
        BOOST_TEST(rows == 0);
    });
}

BOOST_AUTO_TEST_CASE(reads_are_run_again_when_their_connection_is_lost)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        auto slow = "select pg_sleep(0.2 * $1::int)";
        co_await m.learn(slow, 0);
        co_await m.learn("select $1::int", 0);
        outcomes all;
        auto sleep = [&]() -> asio::awaitable<void> { co_await m.mux.read().execute(slow, 1); };
        auto ask = [&](int n) -> asio::awaitable<void> {
            auto got = co_await m.mux.read().query_value<int>("select $1::int", n);
            BOOST_TEST(got == n);
        };
        for (int i = 0; i < 5; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
        spawn_counted(m.io.get_executor(), all, sleep());
        for (int i = 0; i < 5; ++i) spawn_counted(m.io.get_executor(), all, ask(i));
        co_await kill_backends(slow);
        co_await until([&] { return all.ended() == 11; });
        BOOST_TEST(all.failed == 0);
        BOOST_TEST(m.mux.stats().run_again > 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_read_that_loses_every_connection_is_given_up)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        auto fatal = "select pg_terminate_backend(pg_backend_pid()) from generate_series(1, $1::int)";
        co_await m.learn(fatal, 0);
        auto e = co_await failure_of<pgcoro::connection_error>(m.mux.read().execute(fatal, 1));
        BOOST_TEST(e.sql() == fatal);
        BOOST_TEST(contains(e.what(), "3 connections in a row"));
        BOOST_TEST(m.pool.stats().connects == 3u);
    });
}

BOOST_AUTO_TEST_CASE(a_write_that_was_sent_when_the_connection_was_lost_is_unknown)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn(sleep_forever, 0);
        beside write(m.io.get_executor(), [&] { return m.mux.execute(sleep_forever, 1); });
        co_await kill_backends(sleep_forever);
        co_await until([&] { return write.done(); });
        BOOST_TEST(write.threw<pgcoro::commit_unknown>());
        BOOST_TEST(m.mux.stats().run_again == 0u);
    });
}

BOOST_AUTO_TEST_CASE(an_insert_by_read_is_executed_once)
{
    std::atomic<int> answers_to_lose{0};
    test::proxy between(test::socket_of(shared_server()), [&](std::string_view message) {
        std::optional<test::fault> cut;
        bool is_sync = message.size() == 5 && message[0] == 'S';
        if (is_sync && answers_to_lose > 0) {
            --answers_to_lose;
            cut = test::fault{test::fault::to_client, 1, test::fault::cut}; // after its first byte
        }
        return cut;
    });
    asio::io_context io;
    auto options = pool_of(1);
    options.connection = pgcoro::connection_options::from_uri(between.uri());
    pgcoro::pool pool(io.get_executor(), options);
    pgcoro::multiplexer mux(io.get_executor(), pool);
    run_on(io, [&]() -> asio::awaitable<void> {
        auto& read = mux.read();
        co_await pool.execute("drop table if exists mux_once");
        co_await pool.execute("create table mux_once(n int)");
        const std::string plain = "insert into mux_once values ($1)";
        const std::string by_with =
            "with added as (insert into mux_once values ($1) returning n) select n from added";
        int n = 0;
        for (auto& sql : {plain, by_with})
            for (bool known : {false, true, true}) {
                answers_to_lose = known ? 1 : 2;
                ++n;
                co_await failure_of<pgcoro::commit_unknown>(read.execute(sql, n));
                answers_to_lose = 0;
                auto times =
                    co_await pool.query_value<std::int64_t>("select count(*) from mux_once where n = $1", n);
                BOOST_TEST(times == 1);
                co_await read.execute(sql, -1); // known from now on
            }
    });
    run_on(io, [&] { return pool.close(); });
}

BOOST_AUTO_TEST_CASE(a_note_on_an_error_is_seen_by_its_caller_only)
{
    asio::io_context io;
    auto options = pool_of(1);
    options.connection.parameters["user"] = "nobody_of_that_name";
    pgcoro::pool pool(io.get_executor(), options);
    pgcoro::multiplexer mux(io.get_executor(), pool);
    run_on(io, [&]() -> asio::awaitable<void> {
        std::vector<std::string> told;
        auto ask = [&](int n) -> asio::awaitable<void> {
            try {
                co_await mux.read().execute("select 1");
            } catch (pgcoro::error& e) {
                e.add_note("of caller " + std::to_string(n));
                told.push_back(e.what());
            }
        };
        for (int n = 0; n < 5; ++n) asio::co_spawn(io, ask(n), asio::detached);
        co_await until([&] { return told.size() == 5; });
        for (auto& text : told) BOOST_TEST(text.find("of caller") == text.rfind("of caller"), text);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_without_an_answer_in_time_is_a_deadline_error_that_tells_the_state)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn(sleep_forever, 0);
        auto quick = m.mux.with_timeout(30ms);
        auto e = co_await failure_of<pgcoro::deadline_exceeded>(quick.read().execute(sleep_forever, 1));
        BOOST_TEST(contains(e.what(), "1 of 1 connections at work"));
        BOOST_TEST(e.sql() == sleep_forever);
        auto four = co_await quick.with_timeout(30s).read().query_value<int>("select 2 + 2");
        BOOST_TEST(four == 4);
    });
}

BOOST_AUTO_TEST_CASE(a_deadline_holds_for_a_statement_on_its_own_connection_too)
{
    multiplexed m(1, {.slow_after = 1ms}, 2);
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("select pg_sleep(0.02 * $1::int)", 1); // found slow
        auto quick = m.mux.with_timeout(50ms);
        co_await failure_of<pgcoro::deadline_exceeded>(
            quick.read().execute("select pg_sleep(0.02 * $1::int)", 1'000));
        BOOST_TEST(m.mux.stats().exclusive == 1u);
    });
}

BOOST_AUTO_TEST_CASE(who_comes_when_too_many_wait_is_refused)
{
    multiplexed m(1, {.max_waiting = 3});
    m.run([&]() -> asio::awaitable<void> {
        outcomes all;
        auto ask = [&]() -> asio::awaitable<void> { co_await m.mux.read().execute("select 1"); };
        for (int i = 0; i < 5; ++i) spawn_counted(m.io.get_executor(), all, ask());
        co_await yield();
        BOOST_TEST(all.failed == 2);
        co_await until([&] { return all.ended() == 5; });
        BOOST_TEST(all.done == 3);
    });
}

BOOST_AUTO_TEST_CASE(who_waits_is_told_when_no_connection_can_be_had)
{
    asio::io_context io;
    auto options = pool_of(1);
    options.connection.parameters["user"] = "nobody_of_that_name";
    pgcoro::pool pool(io.get_executor(), options);
    pgcoro::multiplexer mux(io.get_executor(), pool);
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await failure_of<pgcoro::connection_error>(mux.read().execute("select 1"));
        co_await pool.close();
        co_await failure_of<pgcoro::pool_closed>(mux.read().execute("select 1"));
    });
}

BOOST_AUTO_TEST_CASE(who_waits_when_the_multiplexer_goes_is_told)
{
    asio::io_context io;
    pgcoro::pool pool(io.get_executor(), pool_of(1));
    std::optional<pgcoro::multiplexer> mux(std::in_place, io.get_executor(), pool);
    run_on(io, [&]() -> asio::awaitable<void> {
        auto held = co_await pool.acquire(); // the only one
        beside waits(io.get_executor(), [&] { return mux->read().execute("select 1"); });
        co_await until([&] { return mux->stats().waiting == 1; });
        mux.reset();
        co_await until([&] { return waits.done(); });
        BOOST_TEST(waits.threw<pgcoro::pool_closed>());
    });
    run_on(io, [&] { return pool.close(); });
}

BOOST_AUTO_TEST_CASE(nothing_keeps_the_event_loop_busy_when_all_are_answered)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.mux.read().execute("select 1");
        co_await m.pool.close();
    });
    watchdog dog(patience);
    m.io.restart();
    m.io.run_for(patience);
    BOOST_TEST(m.io.stopped());
}

BOOST_AUTO_TEST_SUITE_END()
