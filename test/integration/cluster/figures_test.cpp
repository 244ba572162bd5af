// What metrics tell of a cluster.
#include "integration/cluster/support.hpp"

#include <pgcoro/observe/history.hpp>
#include <pgcoro/observe/metrics.hpp>

#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include <optional>

using pgcoro::cluster;

BOOST_AUTO_TEST_SUITE(cluster_figures)

BOOST_AUTO_TEST_CASE(metrics_tell_of_each_host_and_see_a_promotion)
{
    trio servers;
    pgcoro::metrics seen;
    run([&]() -> asio::awaitable<void> {
        auto options = options_for(servers);
        options.reads = pgcoro::read_policy::round_robin;
        options.pool.observer = &seen;
        std::optional<cluster> c(std::in_place, co_await asio::this_coro::executor, options);
        seen.watch(*c);
        co_await settled(*c);
        for (int i = 0; i < 4; ++i) co_await c->query_value<int>(which);
        co_await c->execute("create table seen (n int)");
        auto held = co_await c->acquire();

        auto s = seen.snapshot();
        BOOST_REQUIRE(s.clusters.size() == 1u);
        auto& f = s.clusters.front();
        BOOST_TEST(f.name == "cluster test");
        BOOST_TEST(f.policy == "round_robin");
        BOOST_TEST(f.promotions == 0u);
        BOOST_REQUIRE(f.hosts.size() == 3u);
        for (auto& h : f.hosts) {
            bool primary = h.name == "127.0.0.1:" + std::to_string(servers.primary.port());
            BOOST_TEST(h.role == (primary ? "primary" : "replica"));
            // Four in turn, and a question to the catalog.
            BOOST_TEST((primary ? h.reads == 0 : h.reads >= 2));
            BOOST_TEST(h.writes == (primary ? 2u : 0u));
            BOOST_TEST(h.in_use == (primary ? 1u : 0u));
            BOOST_TEST(h.lag.has_value());
        }
        auto text = boost::json::serialize(boost::json::value_from(s.clusters));
        BOOST_TEST(text.find("\"policy\":\"round_robin\"") != text.npos);
        held.release();

        servers.primary.kill();
        servers.first.promote();
        co_await until([&] { return c->stats().promotions == 1; });
        auto after = seen.snapshot().clusters.at(0);
        BOOST_TEST(after.promotions == 1u);
        BOOST_TEST(after.failovers >= 1u);

        co_await c->close();
        c.reset();
        BOOST_TEST(seen.snapshot().clusters.empty());
    });
}

BOOST_AUTO_TEST_SUITE_END()
