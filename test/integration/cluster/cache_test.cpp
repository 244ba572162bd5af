// A cache whose queries go to replicas, which may not have seen yet what the cache has heard of.
#include "integration/cluster/support.hpp"
#include "integration/tenants/support.hpp"

#include <pgcoro/cache/query_cache.hpp>

using namespace pgcoro;

namespace
{

constexpr const char* value_of = "select value from counter where id = $1";

struct paused_replay
{
    explicit paused_replay(trio& all)
        : servers(all)
    {
        servers.first.pause_replay();
        servers.second.pause_replay();
    }
    ~paused_replay()
    {
        servers.first.resume_replay();
        servers.second.resume_replay();
    }
    trio& servers;
};

trio& servers()
{
    static trio all;
    return all;
}

void make_table()
{
    servers().primary.psql(
        "drop table if exists counter; create table counter(id int primary key, value int);"
        "insert into counter values (1, 10), (2, 20)");
    servers().catch_up();
}

cluster_options settings()
{
    auto o = options_for(servers());
    o.max_lag = 1h; // the replicas may be as old as they like: what is tested is that they are not asked
    o.catch_up_timeout = 10ms;
    return o;
}

std::uint64_t reads_at_primary(const cluster& c) { return figures(c, servers().primary).reads; }

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_cache)

BOOST_AUTO_TEST_CASE(queries_go_to_replicas_and_after_an_invalidation_to_one_that_has_seen_the_change)
{
    make_table();
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        cluster c(executor, settings());
        co_await settled(c);
        query_cache cache(executor, c);
        co_await cache.query(value_of, 1);
        BOOST_TEST(reads_at_primary(c) == 0u);
        {
            paused_replay lagging(servers());
            co_await c.execute("update counter set value = 11 where id = 1");
            cache.invalidate_tag("public.counter");
            auto fresh = co_await cache.query_value<int>(value_of, 1);
            BOOST_TEST(fresh == 11);
            BOOST_TEST(reads_at_primary(c) == 1u);
            auto hit = co_await cache.query(value_of, 1);
            BOOST_TEST((hit.origin() == cache_origin::hit));
            auto other = co_await cache.query_value<int>(value_of, 2); // hangs on the same table
            BOOST_TEST(other == 20);
            BOOST_TEST(reads_at_primary(c) == 2u);
        }
        servers().catch_up();
        cache.invalidate_tag("public.counter");
        auto caught_up = co_await cache.query_value<int>(value_of, 1);
        BOOST_TEST(caught_up == 11);
        co_await cache.close();
        co_await c.close();
    });
}

BOOST_AUTO_TEST_CASE(tenant_gets_own_rows_only_from_replicas_and_primary)
{
    make_tenants(servers().primary);
    servers().catch_up();
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        cluster c(executor, settings());
        co_await settled(c);
        for (bool coherent : {false, true}) {
            cache_options options;
            options.coherent = coherent;
            query_cache cache(executor, c, options);
            if (coherent) {
                auto conn = co_await connection::connect(connection_options::from_uri(servers().primary.uri()));
                co_await install_cache_triggers(conn, names("tenants.note"));
                servers().catch_up();
                cache.follow();
                co_await until([&] { return cache.stats().following; });
            }
            for (int i = 0; i < 3; ++i)
                for (int t : {1, 2, 3}) {
                    auto got = co_await cache.with(of_tenant(t)).query(my_notes);
                    BOOST_TEST(got->as_value<std::string>() == "note of " + std::to_string(t));
                    if (i == 0) BOOST_TEST((got.origin() == cache_origin::asked));
                    if (i > 0 && !coherent) BOOST_TEST((got.origin() == cache_origin::hit));
                }
            BOOST_TEST(cache.stats().hits > 0u);
            co_await cache.close();
        }
        co_await c.close();
    });
}

BOOST_AUTO_TEST_CASE(a_coherent_cache_over_a_cluster_listens_on_the_primary_and_trusts_no_replica_that_lags)
{
    make_table();
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto conn = co_await connection::connect(connection_options::from_uri(servers().primary.uri()));
        co_await install_cache_triggers(conn, names("counter"));
        servers().catch_up();
        cluster c(executor, settings());
        co_await settled(c);
        cache_options options;
        options.coherent = true;
        query_cache cache(executor, c, options);
        cache.follow();
        co_await until([&] { return cache.stats().following; });
        co_await cache.query(value_of, 1);
        auto hit = co_await cache.query(value_of, 1);
        BOOST_TEST((hit.origin() == cache_origin::hit));
        {
            paused_replay lagging(servers());
            auto before = cache.stats().notifications;
            co_await conn.execute("update counter set value = 12 where id = 1");
            co_await until([&] { return cache.stats().notifications > before; });
            auto fresh = co_await cache.query_value<int>(value_of, 1);
            BOOST_TEST(fresh == 12);
            auto kept = co_await cache.query(value_of, 1);
            BOOST_TEST((kept.origin() == cache_origin::hit));
            // Whoever begins to listen now knows nothing of what the replicas have not seen.
            query_cache late(executor, c, options);
            late.follow();
            co_await until([&] { return late.stats().following; });
            auto current = co_await late.query_value<int>(value_of, 1);
            BOOST_TEST(current == 12);
            co_await late.close();
        }
        co_await cache.close();
        co_await c.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()
