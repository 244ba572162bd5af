// Settings for one statement on a primary and its replicas.
#include "integration/cluster/support.hpp"
#include "integration/tenants/support.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(tenants_cluster)

BOOST_AUTO_TEST_CASE(reads_go_to_replicas_and_writes_to_the_primary_with_their_settings)
{
    trio servers;
    make_tenants(servers.primary);
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        pgcoro::cluster c(co_await asio::this_coro::executor, options_for(servers));
        co_await settled(c);
        for (int t : {1, 2, 3, 1, 2, 3}) {
            auto mine = c.with(of_tenant(t));
            BOOST_TEST(co_await mine.query_value<std::string>(my_notes) == "note of " + std::to_string(t));
            auto port = co_await mine.query_value<int>(which);
            BOOST_TEST(port != servers.primary.port());
            auto named = co_await c.named("load note").with(of_tenant(t)).query_value<std::string>(my_notes);
            BOOST_TEST(named == "note of " + std::to_string(t));
            auto now = co_await c.query_value<std::string>(session_now);
            BOOST_TEST(now == session_by_default);
            auto written = co_await mine.execute("update tenants.note set body = body");
            BOOST_TEST(written == 1u);
        }
        pgcoro::cluster_session session(c);
        auto mine = session.with(of_tenant(2));
        for (int i = 0; i < 5; ++i) {
            auto body = "written " + std::to_string(i);
            BOOST_TEST(co_await mine.execute("update tenants.note set body = $1", body) == 1u);
            BOOST_TEST(co_await mine.query_value<std::string>(my_notes) == body);
        }
    });
    BOOST_TEST(servers.primary.psql("select body from tenants.note order by tenant") == "note of 1\nwritten 4\nnote of 3");
}

BOOST_AUTO_TEST_CASE(read_is_run_again_on_another_host_when_its_backend_is_killed)
{
    trio servers;
    make_tenants(servers.primary);
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::cluster c(executor, options_for(servers));
        co_await settled(c);
        std::string note;
        auto slow = "select body from tenants.note where (select count(*) from generate_series(1, 5000000)) > 0";
        beside reader(executor, [&]() -> asio::awaitable<void> {
            note = co_await c.with(of_tenant(3)).query_value<std::string>(slow);
        });
        auto kill = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where query like '%generate_series%' "
                    "and state = 'active' and pid <> pg_backend_pid()";
        bool killed = false;
        while (!killed && !reader.done()) {
            killed = !servers.first.psql(kill).empty() || !servers.second.psql(kill).empty();
            co_await pause(2ms);
        }
        BOOST_TEST(killed);
        while (!reader.done()) co_await pause(2ms);
        if (reader.error()) std::rethrow_exception(reader.error());
        BOOST_TEST(note == "note of 3");
    });
}

BOOST_AUTO_TEST_SUITE_END()
