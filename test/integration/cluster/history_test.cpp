// Servers whose logs have parted, servers of other database clusters, and what a standby refuses.
#include "integration/cluster/support.hpp"
#include "integration/support/proxy.hpp"

#include <pgcoro/observer/observer.hpp>

#include <mutex>
#include <vector>

using pgcoro::cluster;
using pgcoro::cluster_session;
using pgcoro::host_role;
using pgcoro::transaction;
using pgcoro::testing::server;
using pgcoro::testing::server_options;

namespace
{

std::string host_of(const server& s) { return "127.0.0.1:" + std::to_string(s.port()); }

// The second replica gets what the first one, which is promoted then, never got.
void part_logs(trio& servers)
{
    servers.primary.psql("create table note (who text)");
    servers.catch_up();
    servers.first.stop();
    servers.primary.psql("insert into note select 'lost' from generate_series(1, 5000)");
    servers.second.catch_up_with(servers.primary);
    servers.primary.kill();
    servers.first.start();
    servers.first.promote();
}

// The new primary, and a standby whose log is another one.
pgcoro::cluster_options options_of_two(const trio& servers, const server& standby)
{
    auto o = options_for(servers);
    o.hosts = {host_of(servers.first), host_of(standby)};
    return o;
}

// Each read of the session sees the write before it, plain reads see no row of the lost log, and none goes to the standby.
asio::awaitable<void> check_reads(cluster& c, const server& primary, const server& standby)
{
    co_await until([&] {
        return figures(c, primary).role == host_role::primary && figures(c, standby).role == host_role::replica;
    });
    cluster_session session(c);
    for (int i = 1; i <= 20; ++i) {
        co_await session.execute("insert into note values ('mine')");
        BOOST_TEST(co_await session.query_value<std::int64_t>("select count(*) from note where who = 'mine'") == i);
        BOOST_TEST(co_await c.query_value<std::int64_t>("select count(*) from note where who = 'lost'") == 0);
    }
    BOOST_TEST(primary.psql("select count(*) from note") == "20");
    BOOST_TEST(figures(c, standby).reads == 0u);
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_histories)

BOOST_AUTO_TEST_CASE(a_replica_with_more_than_the_new_primary_serves_no_reads)
{
    trio servers;
    part_logs(servers);
    run([&]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_of_two(servers, servers.second));
        co_await check_reads(c, servers.first, servers.second);
        auto unusable = figures(c, servers.second).unusable;
        BOOST_TEST(unusable.find("it follows timeline 1 ") != std::string::npos, unusable);
    });
}

BOOST_AUTO_TEST_CASE(an_old_primary_that_comes_back_as_a_standby_serves_no_reads)
{
    trio servers;
    part_logs(servers);
    servers.second.stop();
    servers.primary.follow(servers.first); // as somebody does who does not know pg_rewind
    servers.primary.start();
    run([&]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_of_two(servers, servers.primary));
        co_await check_reads(c, servers.first, servers.primary);
        BOOST_TEST(figures(c, servers.primary).unusable != "");
    });
}

BOOST_AUTO_TEST_CASE(a_role_without_the_functions_reads_from_the_primary_and_is_told_why)
{
    trio servers;
    servers.primary.psql("create role limited login password '" + servers.primary.password() +
                         "'; revoke execute on function pg_control_checkpoint(), pg_control_recovery() from public");
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        auto o = options_for(servers);
        o.pool.connection.parameters["user"] = "limited";
        auto executor = co_await asio::this_coro::executor;
        {
            cluster c(executor, o);
            co_await until([&] { return figures(c, servers.first).role == host_role::replica; });
            co_await c.verify();
            BOOST_TEST(co_await c.query_value<int>(which) == servers.primary.port());
            auto unusable = figures(c, servers.first).unusable;
            BOOST_TEST(unusable.find("pg_control_checkpoint()") != std::string::npos, unusable);
            co_await c.close();
        }
        servers.primary.psql("grant pg_monitor to limited");
        servers.catch_up();
        cluster c(executor, o);
        co_await settled(c);
        BOOST_TEST(co_await c.query_value<int>(which) != servers.primary.port());
        BOOST_TEST(figures(c, servers.first).unusable == "");
    });
}

namespace
{

struct reasons : pgcoro::observer
{
    void on_role(const pgcoro::role_event& e) noexcept override
    {
        std::lock_guard lock(mutex);
        all.emplace_back(e.why);
    }

    std::mutex mutex;
    std::vector<std::string> all;
};

} // namespace

BOOST_AUTO_TEST_CASE(another_database_cluster_at_the_address_is_a_new_beginning)
{
    server blue;
    server_options with_password;
    with_password.password = blue.password();
    server green(with_password); // on timeline 1
    server_options of_blue;
    of_blue.replica_of = &blue;
    server heir(of_blue);
    heir.promote(); // on timeline 2
    test::proxy address(test::socket_of(heir), [](std::string_view) { return std::nullopt; });
    reasons told;
    run([&]() -> asio::awaitable<void> {
        pgcoro::cluster_options o;
        o.pool.connection = pgcoro::connection_options::from_uri(address.uri());
        o.pool.observer = &told;
        o.check_interval = 50ms;
        o.recheck_interval = 20ms;
        cluster c(co_await asio::this_coro::executor, o);
        co_await c.execute("create table here (id int)");
        heir.stop();
        address.lead_to(test::socket_of(green));
        co_await until([&] { return c.stats().failovers == 1; });
        co_await c.execute("create table there (id int)");
        BOOST_TEST(green.psql("select count(*) from there") == "0");
        co_await c.close();
    });
    bool seen = false;
    for (auto& why : told.all) seen = seen || why.starts_with("another database cluster: its system identifier is ");
    BOOST_TEST(seen);
}

BOOST_AUTO_TEST_CASE(what_only_a_primary_can_run_goes_there_and_is_remembered)
{
    trio servers;
    servers.primary.psql("create unlogged table visit (n int); insert into visit values (7)");
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_for(servers));
        co_await settled(c);
        for (int i = 0; i < 3; ++i) BOOST_TEST(co_await c.query_value<int>("select n from visit") == 7);
        auto refused = figures(c, servers.first).reads + figures(c, servers.second).reads;
        BOOST_TEST(refused == 1u); // the first time
        BOOST_TEST(co_await c.query_value<bool>("select pg_current_wal_lsn() is not null")); // 55000
        pgcoro::transaction_options how;
        how.read_only = true;
        auto body = [](transaction& tx) -> asio::awaitable<int> {
            auto n = co_await tx.query_value<int>("select n from visit");
            co_return n;
        };
        BOOST_TEST(co_await pgcoro::transactional(c, body, how) == 7);
        how.isolation = pgcoro::isolation::serializable;
        how.deferrable = true;
        BOOST_TEST(co_await pgcoro::transactional(c, body, how) == 7);
    });
}

BOOST_AUTO_TEST_CASE(a_serializable_default_keeps_reads_from_standbys)
{
    trio servers;
    servers.primary.psql("create role careful login password '" + servers.primary.password() +
                         "'; alter role careful set default_transaction_isolation = serializable");
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        auto o = options_for(servers);
        o.pool.connection.parameters["user"] = "careful";
        cluster c(co_await asio::this_coro::executor, o);
        co_await until([&] {
            return figures(c, servers.first).role == host_role::replica &&
                   figures(c, servers.second).role == host_role::replica;
        });
        co_await c.verify();
        for (int i = 0; i < 5; ++i) BOOST_TEST(co_await c.query_value<int>(which) == servers.primary.port());
        auto unusable = figures(c, servers.first).unusable;
        BOOST_TEST(unusable.starts_with("default_transaction_isolation is serializable"), unusable);
    });
}

BOOST_AUTO_TEST_SUITE_END()
