// Several processes, one truth: what one changes the others forget, in time.
#include "integration/cache/processes.hpp"

using namespace pgcoro;
using std::chrono::milliseconds;
using std::chrono::seconds;

BOOST_AUTO_TEST_SUITE(cache_coherence)

BOOST_AUTO_TEST_CASE(three_processes_read_nothing_older_than_the_bound_while_listeners_are_killed)
{
    scratch_schema s(
        "create table counter(id int primary key, value int); insert into counter values (1, 0)");
    run([] { return install(names("cached.counter")); });
    shared_memory memory;
    auto& all = *memory.all;
    coherence_options how;
    how.bound = milliseconds(400); // less than the writing takes: a cache that is not told would be found out
    how.reconnect = backoff::fixed(milliseconds(20));
    readers three(all, how);
    run([&]() -> asio::awaitable<void> {
        auto writer = co_await connection::connect(shared_options());
        while (all.ready < 3) co_await yield();
        for (int value = 1; value <= 300; ++value) {
            co_await writer.execute("update cached.counter set value = $1 where id = 1", value);
            all.acknowledged[value] = now_ns();
            if (value % 50 == 25)
                co_await writer.query("select pg_terminate_backend(pid) from pg_stat_activity where "
                                      "application_name in ('ears', 'reader') and random() < 0.5");
            // Time for hits: none is given without it.
            asio::steady_timer pause(co_await asio::this_coro::executor, milliseconds(2));
            co_await pause.async_wait(asio::deferred);
        }
    });
    three.stop();
    BOOST_TEST_MESSAGE("three processes: " << all.reads << " reads, " << all.hits << " hits, " << all.gaps
                                           << " gaps, the stalest read was "
                                           << static_cast<double>(all.stalest) / 1e6 << " ms behind; bound "
                                           << how.bound.count() << " ms");
    BOOST_TEST(all.failures == 0);
    BOOST_TEST(all.hits > 0u);
    BOOST_TEST(all.gaps > 0u);
    // Not how long something took, but what is promised of every read, by one clock.
    BOOST_TEST(all.stalest <= std::chrono::nanoseconds(how.bound).count());
}

BOOST_AUTO_TEST_CASE(a_change_by_anyone_is_told_by_the_tables_triggers_also_through_partitions_and_keys)
{
    scratch_schema s(
        "create table counter(id int primary key, value int) partition by range (id);"
        "create table low partition of counter for values from (0) to (10);"
        "create table parent(id int primary key);"
        "create table child(parent int references parent on delete cascade);"
        "insert into counter values (1, 0); insert into parent values (1); insert into child values (1)");
    cached c(coherent());
    c.run([&]() -> asio::awaitable<void> {
        co_await install(names("cached.counter", "cached.parent", "cached.child"));
        co_await install(names("cached.counter")); // what is there stays
        c.cache().follow(shared_options());
        co_await until_it_follows(c.cache());
        auto told = [&](const char* read, const char* change) -> asio::awaitable<void> {
            co_await c.cache().query(read);
            auto hit = co_await c.cache().query(read);
            BOOST_TEST(hit.origin() == cache_origin::hit, read);
            auto before = c.cache().stats().notifications;
            shared_server().psql(change);
            while (c.cache().stats().notifications == before) co_await yield();
            auto asked = co_await c.cache().query(read);
            BOOST_TEST(asked.origin() == cache_origin::asked, change);
        };
        co_await told("select * from cached.counter", "update cached.low set value = 5");
        co_await told("select * from cached.low", "insert into cached.counter values (2, 2)");
        co_await told("select count(*) from cached.child", "delete from cached.parent");
        co_await told("select count(*) from cached.counter", "truncate cached.low");
    });
}

BOOST_AUTO_TEST_CASE(a_coherent_cache_keeps_only_what_it_is_told_about)
{
    scratch_schema s("create table counter(id int, value int); insert into counter values (1, 1)");
    cached c(coherent());
    c.run([&]() -> asio::awaitable<void> {
        auto unheard = co_await c.cache().query(value_of, 1);
        BOOST_TEST(unheard.origin() == cache_origin::bypassed); // no trigger
        co_await install(names("cached.counter"));
        c.time().advance(std::chrono::minutes(6));
        for (int i = 0; i < 2; ++i) {
            auto asked = co_await c.cache().query(value_of, 1);
            BOOST_TEST(asked.origin() == cache_origin::asked); // a trigger, but nobody listens
        }
        c.cache().follow(shared_options());
        co_await until_it_follows(c.cache());
        co_await c.cache().query(value_of, 1);
        auto hit = co_await c.cache().query(value_of, 1);
        BOOST_TEST(hit.origin() == cache_origin::hit);
    });
}

BOOST_AUTO_TEST_CASE(when_the_listener_was_away_what_is_from_before_stays_stale)
{
    scratch_schema s("create table counter(id int, value int); insert into counter values (1, 1)");
    cached c(coherent());
    c.run([&]() -> asio::awaitable<void> {
        co_await install(names("cached.counter"));
        auto listening = shared_options();
        listening.application_name = "ears";
        c.cache().follow(listening);
        co_await until_it_follows(c.cache());
        co_await c.cache().query(value_of, 1);
        shared_server().psql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ears'");
        while (c.cache().stats().following) co_await yield();
        auto lost = co_await c.cache().query(value_of, 1);
        BOOST_TEST(lost.origin() == cache_origin::asked);
        co_await until_it_follows(c.cache());
        cache_call call{.stale_if_error = seconds(10)};
        c.source().away = true; // it is there, but who knows what it missed
        auto stale = co_await c.cache().with(call).query(value_of, 1);
        BOOST_TEST(stale.is_stale());
        c.source().away = false;
        co_await c.cache().query(value_of, 1);
        auto hit = co_await c.cache().query(value_of, 1);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        BOOST_TEST(c.cache().stats().gaps == 1u);
    });
}

BOOST_AUTO_TEST_CASE(when_the_listener_is_not_heard_in_time_everything_is_stale)
{
    scratch_schema s("create table counter(id int, value int); insert into counter values (1, 1)");
    cached c(coherent());
    c.run([&]() -> asio::awaitable<void> {
        co_await install(names("cached.counter"));
        c.cache().follow(shared_options());
        co_await until_it_follows(c.cache());
        co_await c.cache().query(value_of, 1);
        c.time().advance(seconds(3)); // and it had no turn meanwhile
        auto asked = co_await c.cache().query(value_of, 1);
        BOOST_TEST(asked.origin() == cache_origin::asked);
        BOOST_TEST(c.cache().stats().gaps == 0u);
    });
}

BOOST_AUTO_TEST_CASE(triggers_are_removed_and_refused_as_a_whole)
{
    scratch_schema s("create table counter(id int, value int)");
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connection::connect(shared_options());
        auto count = [&] {
            return conn.query_value<int>(
                "select count(*)::int from pg_trigger where tgname = 'pgcoro_cache'");
        };
        auto refused = co_await failure_of<server_error>(
            install_cache_triggers(conn, names("cached.counter", "cached.nothing")));
        BOOST_TEST(refused.sqlstate() == sqlstate("42P01"));
        BOOST_TEST(!conn.in_transaction());
        auto none = co_await count();
        BOOST_TEST(none == 0);
        co_await install_cache_triggers(conn, names("cached.counter"));
        auto one = co_await count();
        BOOST_TEST(one == 1);
        co_await remove_cache_triggers(conn, names("cached.counter"));
        auto removed = co_await count();
        BOOST_TEST(removed == 0);
    });
}

BOOST_AUTO_TEST_SUITE_END()
