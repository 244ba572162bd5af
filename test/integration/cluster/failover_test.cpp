#include "integration/cluster/load.hpp"
#include "integration/support/proxy.hpp"

#include <algorithm>
#include <iostream>

using pgcoro::cluster;
using pgcoro::host_role;
using pgcoro::transaction;
using pgcoro::testing::server;
using pgcoro::testing::shutdown;
using std::chrono::steady_clock;

namespace
{

/// Promotes one under load, has the other one follow it; says how long the callers were without a commit from
/// then on.
void promote(load<cluster>& l, server& heir, server& other, const char* what)
{
    heir.promote();
    auto promoted = steady_clock::now();
    other.follow(heir); // until then nobody confirms a commit
    auto first = l.first_commit_after(promoted);
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(first - promoted);
    std::cout << what << ": first commit " << took.count() << " ms after the promotion ended, " << l.unknown()
              << " outcomes unknown of " << l.committed() << " transfers\n";
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_failover)

BOOST_AUTO_TEST_CASE(a_killed_primary_is_succeeded_without_loss_and_without_double)
{
    trio servers;
    make_bank(servers);
    servers.replicate_synchronously();
    load<cluster> l(options_for(servers));
    l.proceed(200);
    servers.primary.kill();
    auto [heir, other] = farther_first(servers);
    promote(l, *heir, *other, "killed primary");
    l.proceed(200);
    BOOST_TEST((figures(l.database(), *heir).role == host_role::primary));
    BOOST_TEST((figures(l.database(), servers.primary).role == host_role::unreachable));
    BOOST_TEST(figures(l.database(), *other).writes == 0u);
    BOOST_TEST(l.database().stats().failovers == 1u);
    l.check(*heir);
    BOOST_TEST(l.unknown() <= static_cast<std::size_t>(callers)); // those that were in COMMIT
}

BOOST_AUTO_TEST_CASE(a_frozen_primary_is_succeeded_and_its_callers_cut_loose)
{
    trio servers;
    make_bank(servers);
    servers.replicate_synchronously();
    auto options = options_for(servers);
    options.check_timeout = 300ms;
    load<cluster> l(options);
    l.proceed(200);
    servers.primary.pause();
    auto [heir, other] = farther_first(servers);
    promote(l, *heir, *other, "frozen primary");
    l.proceed(200);
    // It wakes up, and takes itself for the primary still: nobody writes there.
    servers.primary.resume();
    watchdog dog(patience);
    while (figures(l.database(), servers.primary).role != host_role::outdated)
        std::this_thread::sleep_for(1ms);
    auto writes = figures(l.database(), servers.primary).writes;
    l.proceed(200);
    BOOST_TEST(figures(l.database(), servers.primary).writes == writes);
    l.check(*heir);
}

BOOST_AUTO_TEST_CASE(a_primary_that_comes_back_as_such_goes_on)
{
    trio servers;
    make_bank(servers);
    load<cluster> l(options_for(servers));
    for (int i = 0; i < 2; ++i) {
        l.proceed(100);
        servers.primary.kill();
        servers.primary.start();
    }
    l.proceed(100);
    BOOST_TEST(figures(l.database(), servers.first).writes + figures(l.database(), servers.second).writes ==
               0u);
    // What was under way in a crash may be unknown: its id may have been given again.
    l.check(servers.primary);
}

BOOST_AUTO_TEST_CASE(primary_and_replica_change_places_under_load)
{
    trio servers;
    make_bank(servers);
    load<cluster> l(options_for(servers));
    l.proceed(100);
    servers.primary.stop(shutdown::fast); // sends its replicas everything first
    promote(l, servers.first, servers.second, "switchover");
    servers.primary.follow(servers.first);
    servers.primary.start();
    l.proceed(100);
    watchdog dog(patience);
    while (figures(l.database(), servers.primary).role != host_role::replica)
        std::this_thread::sleep_for(1ms);
    auto writes = figures(l.database(), servers.primary).writes;
    l.proceed(100);
    BOOST_TEST(figures(l.database(), servers.primary).writes == writes);
    BOOST_TEST((figures(l.database(), servers.first).role == host_role::primary));
    l.check(servers.first);
}

BOOST_AUTO_TEST_CASE(a_primary_demoted_between_two_checks_gives_itself_away_to_the_next_writer)
{
    trio servers;
    make_bank(servers);
    run([&]() -> asio::awaitable<void> {
        auto options = options_for(servers);
        options.check_interval = options.recheck_interval = 1h; // only when asked to
        options.pool.alive_bypass = 0ms; // however quick this is, its sockets are looked at
        options.max_lag = 0ms;
        cluster c(co_await asio::this_coro::executor, options);
        for (auto* s : {&servers.primary, &servers.first, &servers.second})
            co_await until([&] { return figures(c, *s).role != host_role::unknown; });
        co_await c.execute("update account set cents = cents");
        servers.primary.stop(shutdown::fast);
        servers.first.promote();
        servers.primary.follow(servers.first);
        servers.primary.start();
        BOOST_TEST((figures(c, servers.primary).role == host_role::primary)); // as far as it knows
        auto changed = co_await c.execute("update account set cents = cents");
        BOOST_TEST(changed == static_cast<unsigned>(accounts));
        BOOST_TEST((figures(c, servers.primary).role == host_role::replica));
        BOOST_TEST((figures(c, servers.first).role == host_role::primary));
        BOOST_TEST(c.stats().rerouted == 1u);
    });
}

namespace
{

/// One address for two replicas, as of a balancer that has not noticed yet that the first was promoted: it is
/// the first that the cluster asks for its role, and its pool's only connection leads to the second.
struct half_promoted
{
    half_promoted() { make_bank(servers); }

    pgcoro::cluster_options options() const
    {
        auto o = options_for(servers);
        o.hosts = {"127.0.0.1:" + std::to_string(address.port())};
        o.pool.connection.parameters["sslmode"] = "disable"; // which the proxy does not know
        o.pool.size = 1;
        o.pool.max_overflow = 0;
        o.max_lag = 0ms; // there is no primary to measure it by
        return o;
    }

    asio::awaitable<void> happen(cluster& c)
    {
        auto role = [&] { return c.stats().hosts.front().role; };
        co_await until([&] { return role() == host_role::replica; });
        address.lead_to(test::socket_of(servers.second));
        BOOST_TEST(co_await c.query_value<int>(which) == servers.second.port());
        servers.first.promote();
        co_await until([&] { return role() == host_role::primary; });
    }

    trio servers;
    test::proxy address{test::socket_of(servers.first), [](std::string_view) { return std::nullopt; }};
};

} // namespace

BOOST_AUTO_TEST_CASE(a_write_that_a_standby_refuses_at_the_primarys_address_is_run_again)
{
    half_promoted at;
    run([&]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, at.options());
        co_await at.happen(c);
        at.address.lead_to(test::socket_of(at.servers.first));
        BOOST_TEST(co_await c.execute("update account set cents = 7") == static_cast<unsigned>(accounts));
        BOOST_TEST(c.stats().rerouted == 1u);
    });
    BOOST_TEST(at.servers.first.psql("select distinct cents from account") == "7");
}

BOOST_AUTO_TEST_CASE(a_transaction_that_a_standby_refuses_at_the_primarys_address_is_run_again)
{
    half_promoted at;
    run([&]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, at.options());
        co_await at.happen(c);
        auto balancer = [&]() -> asio::awaitable<void> {
            co_await until([&] { return c.stats().rerouted >= 5; });
            at.address.lead_to(test::socket_of(at.servers.first));
        };
        beside late(co_await asio::this_coro::executor, balancer);
        co_await pgcoro::transactional(c, [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update account set cents = 7");
        });
        BOOST_TEST(late.done());
    });
    BOOST_TEST(at.servers.first.psql("select distinct cents from account") == "7");
}

BOOST_AUTO_TEST_CASE(a_read_is_not_told_that_an_address_is_the_primarys_and_a_standbys_by_turns)
{
    half_promoted at;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        cluster c(executor, at.options());
        co_await at.happen(c);
        auto writer = [&]() -> asio::awaitable<void> { co_await c.execute("update account set cents = 7"); };
        auto reader = [&]() -> asio::awaitable<void> {
            BOOST_TEST(co_await c.query_value<int>("select 1") == 1);
        };
        beside write(executor, writer); // which has the role change, and change back
        co_await until([&] { return c.stats().rerouted >= 2; });
        beside read(executor, reader);
        co_await until([&] { return read.done() || c.stats().rerouted >= 30; });
        at.address.lead_to(test::socket_of(at.servers.first));
        co_await until([&] { return write.done() && read.done(); });
        BOOST_TEST(!write.error());
        BOOST_TEST(!read.error());
    });
}

BOOST_AUTO_TEST_CASE(a_primarys_address_that_goes_on_leading_to_a_standby_is_told_after_failover_timeout)
{
    half_promoted at;
    run([&]() -> asio::awaitable<void> {
        auto options = at.options();
        options.failover_timeout = 300ms;
        cluster c(co_await asio::this_coro::executor, options);
        co_await at.happen(c);
        std::string told;
        try {
            co_await c.execute("update account set cents = 7");
        } catch (const pgcoro::error& e) {
            told = e.what();
        }
        BOOST_TEST(told.find("does one address lead to several servers?") != told.npos, told);
    });
}

BOOST_AUTO_TEST_CASE(reads_go_on_when_a_replica_dies_and_only_its_connections_are_dropped)
{
    trio servers;
    make_bank(servers);
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        cluster c(executor, options_for(servers));
        co_await settled(c);
        auto untouched = co_await c.acquire();
        auto pid = co_await untouched->query_value<int>("select pg_backend_pid()");
        bool stop = false;
        int read = 0;
        auto reader = [&]() -> asio::awaitable<void> {
            while (!stop) {
                auto sum = co_await c.query_value<std::int64_t>("select sum(cents)::bigint from account");
                BOOST_TEST(sum == 1000 * accounts);
                ++read;
            }
        };
        beside one(executor, reader);
        beside two(executor, reader);
        co_await until([&] { return read > 100; });
        servers.first.kill();
        co_await until([&] { return figures(c, servers.first).role == host_role::unreachable; });
        auto then = read;
        co_await until([&] { return read > then + 100; });
        BOOST_TEST(figures(c, servers.first).connections.in_use == 0u);
        servers.first.start();
        co_await until([&] { return figures(c, servers.first).connections.acquired > 0; });
        stop = true;
        co_await until([&] { return one.done() && two.done(); });
        BOOST_TEST(!one.error());
        BOOST_TEST(!two.error());
        BOOST_TEST(co_await untouched->query_value<int>("select pg_backend_pid()") == pid);
    });
}

BOOST_AUTO_TEST_CASE(a_server_that_is_made_read_only_is_no_standby_and_its_error_reaches_the_caller)
{
    trio servers;
    make_bank(servers);
    run([&]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_for(servers));
        co_await settled(c);
        servers.primary.psql("alter system set default_transaction_read_only = on");
        servers.primary.psql("select pg_reload_conf()");
        std::string code;
        try {
            // Until the backends have read it.
            for (;;) co_await c.execute("update account set cents = cents");
        } catch (const pgcoro::server_error& e) {
            code = e.sqlstate().str();
        }
        BOOST_TEST(code == "25006");
        BOOST_TEST((figures(c, servers.primary).role == host_role::primary));
    });
}

namespace
{

/// Keeps what it is told of roles and failovers.
struct witness : pgcoro::observer
{
    void on_role(const pgcoro::role_event& e) noexcept override
    {
        std::lock_guard lock(mutex);
        roles.push_back(std::string(e.from) + " to " + std::string(e.to));
    }
    void on_failover(const pgcoro::failover_event& e) noexcept override
    {
        std::lock_guard lock(mutex);
        failovers.push_back(std::string(e.from) + " to " + std::string(e.to));
    }

    std::mutex mutex;
    std::vector<std::string> roles;
    std::vector<std::string> failovers;
};

} // namespace

BOOST_AUTO_TEST_CASE(the_observer_is_told_of_roles_and_failovers)
{
    trio servers;
    witness w;
    run([&]() -> asio::awaitable<void> {
        auto options = options_for(servers);
        options.pool.observer = &w;
        cluster c(co_await asio::this_coro::executor, options);
        co_await settled(c);
        servers.primary.stop(shutdown::fast);
        co_await until([&] { return figures(c, servers.primary).role == host_role::unreachable; });
        servers.first.promote();
        co_await until([&] { return figures(c, servers.first).role == host_role::primary; });
        co_await c.close();
    });
    auto name = [](const server& s) { return "127.0.0.1:" + std::to_string(s.port()); };
    BOOST_TEST_REQUIRE(w.failovers.size() == 1u);
    BOOST_TEST(w.failovers[0] == name(servers.primary) + " to " + name(servers.first));
    BOOST_TEST(std::count(w.roles.begin(), w.roles.end(), "unknown to replica") == 2);
    BOOST_TEST(std::count(w.roles.begin(), w.roles.end(), "primary to unreachable") == 1);
    BOOST_TEST(std::count(w.roles.begin(), w.roles.end(), "replica to primary") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
