// The cache with Redis behind it: what it finds there, and what it does not believe.
#include "integration/cache/processes.hpp"
#include "integration/redis/redis_process.hpp"

using namespace pgcoro;
using namespace std::chrono_literals;

namespace
{

// A cache with a first level of its own over the shared server, and Redis behind.
struct level_two
{
    level_two(asio::io_context& io, const redis_instance& there, cache_options options = {}, std::string startup = {})
        : redis(made(io, there))
        , pool(io.get_executor(), settings(std::move(startup)))
        , source(std::make_shared<counted_source>(pool))
        , cache(io.get_executor(), source, with(options, redis))
    {}

    static std::shared_ptr<redis_second_level> made(asio::io_context& io, const redis_instance& there)
    {
        redis_options o;
        o.instances = {there};
        o.timeout = 2s; // a busy machine is not what is tested
        return std::make_shared<redis_second_level>(io.get_executor(), o);
    }
    static pool_options settings(std::string startup)
    {
        pool_options o;
        o.connection = shared_options();
        if (!startup.empty()) o.connection.parameters["options"] = std::move(startup);
        o.size = 4;
        return o;
    }
    static cache_options with(cache_options o, std::shared_ptr<second_level> second)
    {
        o.second = std::move(second);
        return o;
    }

    asio::awaitable<void> close()
    {
        co_await cache.close(); // and all is handed over
        co_await pool.close();
    }

    std::shared_ptr<redis_second_level> redis;
    pgcoro::pool pool;
    std::shared_ptr<counted_source> source;
    query_cache cache;
};

asio::awaitable<void> until_kept(const redis_process& server, int keys)
{
    while (std::stoi(server.cli({"dbsize"})) < keys) co_await yield();
}

constexpr const char* one_counter = "create table counter(id int primary key, value int, note text);"
                                    "insert into counter values (1, 10, null), (2, 20, 'two')";

struct counter_and_redis
{
    scratch_schema schema{one_counter};
    redis_process server;
    asio::io_context io;
};

} // namespace

BOOST_AUTO_TEST_SUITE(cache_second_level)

BOOST_FIXTURE_TEST_CASE(what_one_process_read_another_finds_without_the_database, counter_and_redis)
{
    level_two first(io, server.by_socket());
    level_two second(io, server.by_socket());
    run_on(io, [&]() -> asio::awaitable<void> {
        using row = std::tuple<int, int, std::optional<std::string>>;
        constexpr const char* all = "select * from cached.counter order by id";
        auto asked = co_await first.cache.query(all);
        BOOST_TEST(asked.origin() == cache_origin::asked);
        co_await until_kept(server, 1);
        auto found = co_await second.cache.query(all);
        BOOST_TEST(found.origin() == cache_origin::second);
        BOOST_TEST((found->as<row>() == asked->as<row>()));
        BOOST_TEST(second.source->asked == 0);
        auto hit = co_await second.cache.query(all);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        BOOST_TEST(second.cache.stats().second_hits == 1u);
        auto other = co_await second.cache.query(value_of, 1);
        BOOST_TEST(other.origin() == cache_origin::asked); // parameters and text make the key
        co_await first.close();
        co_await second.close();
    });
}

BOOST_FIXTURE_TEST_CASE(what_a_cache_invalidated_it_does_not_take_from_there, counter_and_redis)
{
    level_two c(io, server.by_socket());
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await c.cache.query(value_of, 1);
        co_await until_kept(server, 1);
        auto changed = [&](std::function<void()> invalidate) -> asio::awaitable<void> {
            co_await c.pool.execute("update cached.counter set value = value + 1 where id = 1");
            invalidate();
            auto asked = co_await c.cache.query(value_of, 1);
            BOOST_TEST(asked.origin() == cache_origin::asked);
            auto now = co_await c.pool.query_value<int>(value_of, 1);
            BOOST_TEST(asked->as_value<int>() == now);
        };
        co_await changed([&] { c.cache.invalidate_tag("cached.counter"); });
        co_await changed([&] { c.cache.invalidate_tags_like("cached.*"); });
        co_await changed([&] { c.cache.invalidate(value_of, 1); });
        co_await changed([&] { c.cache.invalidate_all(); });
        BOOST_TEST(c.cache.stats().second_outdated > 0u);
        co_await c.close();
    });
}

BOOST_FIXTURE_TEST_CASE(a_coherent_cache_uses_nothing_from_before_it_listened, counter_and_redis)
{
    level_two first(io, server.by_socket(), coherent());
    level_two second(io, server.by_socket(), coherent());
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await install(names("cached.counter"));
        first.cache.follow(shared_options());
        co_await until_it_follows(first.cache);
        co_await first.cache.query(value_of, 1);
        co_await until_kept(server, 1);
        // Nobody who would tell `second` of this one.
        shared_server().psql("update cached.counter set value = 11 where id = 1");
        auto unheard = co_await second.cache.query(value_of, 1);
        BOOST_TEST(unheard.origin() == cache_origin::asked);
        second.cache.follow(shared_options());
        co_await until_it_follows(second.cache);
        auto asked = co_await second.cache.query(value_of, 1);
        BOOST_TEST(asked.origin() == cache_origin::asked);
        BOOST_TEST(asked->as_value<int>() == 11);
        BOOST_TEST(second.cache.stats().second_outdated == 1u);
        // But what is read from then on: both know it to be current.
        co_await second.cache.query(value_of, 2);
        co_await until_kept(server, 2);
        auto found = co_await first.cache.query(value_of, 2);
        BOOST_TEST(found.origin() == cache_origin::second);
        co_await first.close();
        co_await second.close();
    });
}

BOOST_FIXTURE_TEST_CASE(values_that_are_damaged_or_of_others_are_misses, counter_and_redis)
{
    level_two first(io, server.by_socket());
    level_two second(io, server.by_socket());
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await first.cache.query(value_of, 1);
        co_await until_kept(server, 1);
        auto name = server.cli({"keys", "*"});
        name.pop_back();
        server.cli({"setrange", name, "60", "xxxxxxxx"}); // in the key, which is compared in full
        auto asked = co_await second.cache.query(value_of, 1);
        BOOST_TEST(asked.origin() == cache_origin::asked);
        BOOST_TEST(second.cache.stats().second_refused == 1u);
        co_await first.close();
        co_await second.close();
    });
}

BOOST_FIXTURE_TEST_CASE(sessions_with_other_settings_do_not_find_it, counter_and_redis)
{
    struct of_setting
    {
        const char* startup;
        const char* sql;
    };
    int kept = 0;
    for (auto& [startup, sql] : {of_setting{"-c default_text_search_config=simple", "select to_tsvector('the running foxes')::text"},
                                 of_setting{"-c xmlbinary=hex", "select xmlelement(name a, '\\x4142'::bytea)::text"},
                                 of_setting{"-c TimeZone=Asia/Tokyo", "select '2024-01-01 00:00:00+00'::timestamptz::text"}}) {
        level_two plain(io, server.by_socket());
        level_two same(io, server.by_socket());
        level_two other(io, server.by_socket(), {}, startup);
        run_on(io, [&]() -> asio::awaitable<void> {
            co_await plain.cache.query(sql);
            ++kept;
            co_await until_kept(server, kept);
            auto found = co_await same.cache.query(sql);
            BOOST_TEST(found.origin() == cache_origin::second, sql);
            auto own = co_await other.cache.query(sql);
            BOOST_TEST(own.origin() == cache_origin::asked, sql);
            BOOST_TEST(own->as_value<std::string>() != found->as_value<std::string>(), sql);
            ++kept;
            co_await until_kept(server, kept);
            co_await plain.close();
            co_await same.close();
            co_await other.close();
        });
        io.restart();
    }
}

BOOST_FIXTURE_TEST_CASE(tenant_finds_own_rows_only, counter_and_redis)
{
    shared_server().psql("drop role if exists cached_app; create role cached_app; grant usage on schema cached to cached_app; "
                         "grant select on cached.counter to cached_app; alter table cached.counter enable row level security; "
                         "create policy own on cached.counter using (id = current_setting('app.tenant', true)::int)");
    level_two first(io, server.by_socket());
    level_two second(io, server.by_socket());
    auto of_tenant = [](int t) { return local_settings{{"app.tenant", t}, {"role", "cached_app"}}; };
    constexpr const char* mine = "select value from cached.counter";
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await first.cache.with(of_tenant(1)).query(mine);
        co_await until_kept(server, 1);
        auto other = co_await second.cache.with(of_tenant(2)).query(mine);
        BOOST_TEST(other.origin() == cache_origin::asked);
        BOOST_TEST(other->as_value<int>() == 20);
        auto same = co_await second.cache.with(of_tenant(1)).query(mine);
        BOOST_TEST(same.origin() == cache_origin::second);
        BOOST_TEST(same->as_value<int>() == 10);
        auto all = co_await second.cache.query(mine);
        BOOST_TEST(all->size() == 2u);
        co_await first.close();
        co_await second.close();
    });
    shared_server().psql("drop owned by cached_app; drop role cached_app");
}

// The defaults of the connections, which the server does not list among its settings.
BOOST_FIXTURE_TEST_CASE(sessions_of_another_role_do_not_find_it, counter_and_redis)
{
    shared_server().psql("drop role if exists cached_app; create role cached_app; grant usage on schema cached to cached_app; "
                         "grant select on cached.counter to cached_app; alter table cached.counter enable row level security; "
                         "create policy own on cached.counter using (id = current_setting('app.tenant', true)::int)");
    level_two all(io, server.by_socket(), {}, "-c app.tenant=1");
    level_two own(io, server.by_socket(), {}, "-c app.tenant=1 -c role=cached_app");
    run_on(io, [&]() -> asio::awaitable<void> {
        constexpr const char* mine = "select value from cached.counter order by id";
        auto both = co_await all.cache.query(mine);
        BOOST_TEST(both->size() == 2u);
        co_await until_kept(server, 1);
        auto one = co_await own.cache.query(mine);
        BOOST_TEST(one->size() == 1u);
        co_await all.close();
        co_await own.close();
    });
    shared_server().psql("drop owned by cached_app; drop role cached_app");
}

BOOST_FIXTURE_TEST_CASE(a_redis_that_is_gone_costs_no_error, counter_and_redis)
{
    level_two c(io, server.by_socket());
    run_on(io, [&]() -> asio::awaitable<void> {
        server.kill();
        for (int i = 0; i < 10; ++i) {
            auto asked = co_await c.cache.query(value_of, i);
            BOOST_TEST(asked.origin() == cache_origin::asked);
        }
        BOOST_TEST((c.redis->stats().front().state == breaker_state::open));
        co_await c.close();
    });
}

BOOST_AUTO_TEST_CASE(three_processes_read_nothing_older_than_the_bound_while_redis_is_paused_and_killed)
{
    scratch_schema s("create table counter(id int primary key, value int);"
                     "insert into counter values (1, 0)");
    run([] { return install(names("cached.counter")); });
    redis_process server;
    shared_memory memory;
    auto& all = *memory.all;
    coherence_options how;
    how.bound = 400ms;
    how.reconnect = backoff::fixed(20ms);
    auto there = server.by_socket();
    readers three(all, how, [&](cache_options& o, asio::any_io_executor executor) {
        redis_options redis;
        redis.instances = {there};
        redis.open_for = 50ms;
        o.second = std::make_shared<redis_second_level>(executor, redis);
    });
    run([&]() -> asio::awaitable<void> {
        auto writer = co_await connection::connect(shared_options());
        while (all.ready < 3) co_await yield();
        asio::steady_timer pause(co_await asio::this_coro::executor);
        for (int value = 1; value <= 300; ++value) {
            co_await writer.execute("update cached.counter set value = $1 where id = 1", value);
            all.acknowledged[value] = now_ns();
            if (value % 60 == 20)
                co_await writer.query("select pg_terminate_backend(pid) from pg_stat_activity where "
                                      "application_name = 'ears' and random() < 0.5");
            if (value == 100) server.pause();
            if (value == 150) server.resume(); // what it was sent meanwhile it takes now
            if (value == 200) server.kill();
            if (value == 220) server.start();
            // Time for hits: none is given without it.
            pause.expires_after(5ms);
            co_await pause.async_wait(asio::deferred);
        }
    });
    three.stop();
    BOOST_TEST_MESSAGE("three processes and Redis: " << all.reads << " reads, " << all.hits << " hits, "
                                                     << all.second_hits << " from Redis, " << all.gaps
                                                     << " gaps, the stalest read was "
                                                     << static_cast<double>(all.stalest) / 1e6
                                                     << " ms behind; bound " << how.bound.count() << " ms");
    BOOST_TEST(all.failures == 0);
    BOOST_TEST(all.hits > 0u);
    BOOST_TEST(all.second_hits > 0u);
    // Not how long something took, but what is promised of every read, by one clock.
    BOOST_TEST(all.stalest <= std::chrono::nanoseconds(how.bound).count());
}

BOOST_AUTO_TEST_SUITE_END()
