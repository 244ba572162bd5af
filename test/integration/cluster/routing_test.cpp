#include "integration/cluster/support.hpp"

#include <pgcoro/observe/span_log.hpp>

#include <algorithm>
#include <set>
#include <vector>

using pgcoro::cluster;
using pgcoro::cluster_session;
using pgcoro::commit_token;
using pgcoro::host_role;
using pgcoro::transaction;
using pgcoro::transactional;

namespace
{

/// The servers of all tests here, none of which changes their roles.
trio& servers()
{
    static trio all;
    return all;
}

int port_of(const pgcoro::testing::server& s) { return s.port(); }

/// A table with one row, on all three.
void make_table()
{
    servers().primary.psql("drop table if exists t cascade; create table t as select 1 as x");
    servers().catch_up();
}

/// Where a read must never be: on the primary.
asio::awaitable<void> check_on_replica(cluster& c, std::string_view sql)
{
    auto before = figures(c, servers().primary).writes;
    auto reads = figures(c, servers().primary).reads;
    co_await c.query(sql);
    BOOST_TEST(figures(c, servers().primary).writes == before, sql);
    BOOST_TEST(figures(c, servers().primary).reads == reads, sql);
}

asio::awaitable<void> check_on_primary(cluster& c, std::string_view sql)
{
    auto before = figures(c, servers().primary).writes;
    co_await c.query(sql);
    BOOST_TEST(figures(c, servers().primary).writes == before + 1, sql);
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_routing)

BOOST_AUTO_TEST_CASE(each_host_has_the_role_that_its_server_says)
{
    run([]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_for(servers()));
        co_await settled(c);
        BOOST_TEST((figures(c, servers().primary).role == host_role::primary));
        BOOST_TEST((figures(c, servers().first).role == host_role::replica));
        BOOST_TEST((figures(c, servers().second).role == host_role::replica));
        BOOST_TEST(c.stats().failovers == 0u); // the first is none
        BOOST_TEST(figures(c, servers().first).latency.count() > 0);
    });
}

BOOST_AUTO_TEST_CASE(the_parser_and_the_catalog_tell_reads_from_writes)
{
    make_table();
    servers().primary.psql(
        "create or replace function harmless() returns int language sql stable as 'select 1'; "
        "create or replace function who_knows() returns int language sql as 'select 1'");
    servers().catch_up();
    run([]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_for(servers()));
        co_await settled(c);
        for (const char* sql :
             {"select x from t", "select count(*), max(x), now() from t", "table t", "values (1)",
              "with a as (select x from t) select * from a", "select harmless()",
              "select pg_catalog.lower('update t set x = 0')", "-- update\nselect 'for update'"})
            co_await check_on_replica(c, sql);
        for (const char* sql :
             {"update t set x = x", "select x from t for update", "select x from t for share",
              "with a as (update t set x = x returning x) select * from a", "select random()",
              "select who_knows()", "select pg_advisory_lock(1)", "show port", "explain select 1",
              "create temp table if not exists own (x int)", "select x into temp copied from t"})
            co_await check_on_primary(c, sql);
        BOOST_TEST(c.stats().rerouted == 0u);
    });
}

BOOST_AUTO_TEST_CASE(what_only_the_replica_knows_to_be_a_write_goes_to_the_primary_from_then_on)
{
    make_table();
    // The view hides the volatile function from the parser.
    servers().primary.psql("drop sequence if exists s cascade; create sequence s; "
                           "create or replace view innocent as select nextval('s') as n from t");
    servers().catch_up();
    run([]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_for(servers()));
        co_await settled(c);
        constexpr auto sql = "select n from innocent";
        BOOST_TEST(co_await c.query_value<std::int64_t>(sql) == 1);
        BOOST_TEST(c.stats().rerouted == 1u);
        BOOST_TEST(co_await c.query_value<std::int64_t>(sql) == 2);
        BOOST_TEST(c.stats().rerouted == 1u);
        BOOST_TEST(figures(c, servers().primary).writes == 2u);
    });
}

BOOST_AUTO_TEST_CASE(reads_are_spread_over_the_replicas)
{
    run([]() -> asio::awaitable<void> {
        auto options = options_for(servers());
        options.reads = pgcoro::read_policy::round_robin;
        cluster c(co_await asio::this_coro::executor, options);
        co_await settled(c);
        std::multiset<int> served;
        for (int i = 0; i < 20; ++i) {
            auto port = co_await c.query_value<int>(which);
            served.insert(port);
        }
        BOOST_TEST(served.count(port_of(servers().first)) == 10u);
        BOOST_TEST(served.count(port_of(servers().second)) == 10u);
    });
}

BOOST_AUTO_TEST_CASE(transactions_go_to_the_primary_and_read_only_ones_to_replicas)
{
    run([]() -> asio::awaitable<void> {
        cluster c(co_await asio::this_coro::executor, options_for(servers()));
        co_await settled(c);
        auto port = [](transaction& tx) -> asio::awaitable<int> {
            co_return co_await tx.query_value<int>(which);
        };
        auto wrote = co_await transactional(c, port);
        BOOST_TEST(wrote == port_of(servers().primary));
        pgcoro::transaction_options options;
        options.read_only = true;
        auto read = co_await transactional(c, port, options);
        BOOST_TEST(read != port_of(servers().primary));
        // Who says read-only and writes has made a mistake, which no other host can mend.
        int runs = 0;
        auto mistaken = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("create table never (x int)");
        };
        std::string code;
        try {
            co_await transactional(c, mistaken, options);
        } catch (const pgcoro::server_error& e) {
            code = e.sqlstate().str();
        }
        BOOST_TEST(code == "25006");
        BOOST_TEST(runs == 1);
        auto lease = co_await c.acquire();
        BOOST_TEST(co_await lease->query_value<int>(which) == port_of(servers().primary));
        auto reader = co_await c.acquire_read();
        BOOST_TEST(co_await reader->query_value<int>(which) != port_of(servers().primary));
    });
}

BOOST_AUTO_TEST_CASE(a_session_reads_what_it_wrote_though_no_replica_has_it)
{
    make_table();
    run([]() -> asio::awaitable<void> {
        auto options = options_for(servers());
        options.catch_up_timeout = 10ms;
        cluster c(co_await asio::this_coro::executor, options);
        co_await settled(c);
        servers().first.pause_replay();
        servers().second.pause_replay();
        cluster_session writer(c);
        co_await writer.execute("update t set x = 2");
        BOOST_TEST((writer.token() > commit_token()));
        BOOST_TEST(co_await writer.query_value<int>("select x from t") == 2);
        // The next request of the same caller, by another process.
        auto header = writer.token().text();
        cluster_session reader(c, commit_token::from_text(header));
        BOOST_TEST(co_await reader.query_value<int>("select x from t") == 2);
        BOOST_TEST(co_await c.query_value<int>("select x from t") == 1); // nobody else is promised that
        BOOST_TEST(c.stats().stale_avoided == 2u);
        servers().first.resume_replay();
        servers().second.resume_replay();
        servers().catch_up();
        // The cluster has seen it: a busy replica may take longer to be asked than the caller waits for.
        co_await until([&] {
            return figures(c, servers().first).position >= reader.token() &&
                   figures(c, servers().second).position >= reader.token();
        });
        auto reads = figures(c, servers().primary).reads;
        BOOST_TEST(co_await reader.query_value<int>("select x from t") == 2);
        BOOST_TEST(figures(c, servers().primary).reads == reads);
    });
}

BOOST_AUTO_TEST_CASE(a_read_waits_for_a_replica_that_is_about_to_catch_up)
{
    make_table();
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = options_for(servers());
        options.catch_up_timeout = 20s;
        cluster c(executor, options);
        co_await settled(c);
        servers().first.pause_replay();
        servers().second.pause_replay();
        cluster_session session(c);
        auto body = [](transaction& tx) -> asio::awaitable<int> {
            co_await tx.execute("update t set x = 3");
            co_return 3;
        };
        auto wrote = co_await transactional(session, body);
        BOOST_TEST(wrote == 3);
        int seen = 0;
        beside reader(executor, [&]() -> asio::awaitable<void> {
            seen = co_await session.query_value<int>("select x from t");
        });
        co_await until([&] {
            return figures(c, servers().first).connections.in_use +
                       figures(c, servers().second).connections.in_use ==
                   1;
        });
        servers().first.resume_replay();
        servers().second.resume_replay();
        co_await until([&] { return reader.done(); });
        BOOST_TEST(seen == 3);
        BOOST_TEST(c.stats().caught_up == 1u);
        BOOST_TEST(figures(c, servers().primary).reads == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_replica_behind_the_bound_is_left_out_until_it_has_caught_up)
{
    make_table();
    run([]() -> asio::awaitable<void> {
        auto options = options_for(servers());
        options.max_lag = 2s; // within which a busy machine's replica gets what it is sent
        cluster c(co_await asio::this_coro::executor, options);
        co_await settled(c);
        servers().first.pause_replay();
        co_await c.execute("update t set x = 4");
        co_await until([&] { return *figures(c, servers().first).lag > options.max_lag; });
        for (int i = 0; i < 20; ++i) BOOST_TEST(co_await c.query_value<int>("select x from t") == 4);
        auto served = figures(c, servers().first).reads;
        servers().second.pause_replay();
        co_await c.execute("update t set x = 5");
        co_await until([&] { return *figures(c, servers().second).lag > options.max_lag; });
        BOOST_TEST(co_await c.query_value<int>("select x from t") == 5); // of the primary
        BOOST_TEST(figures(c, servers().primary).reads == 1u);
        BOOST_TEST(figures(c, servers().first).reads == served);
        servers().first.resume_replay();
        servers().second.resume_replay();
        co_await until([&] { return *figures(c, servers().first).lag < options.max_lag; });
        co_await until([&] { return *figures(c, servers().second).lag < options.max_lag; });
        BOOST_TEST(co_await c.query_value<int>("select x from t") == 5);
        BOOST_TEST(figures(c, servers().primary).reads == 1u);
    });
}

BOOST_AUTO_TEST_CASE(no_read_is_older_than_the_bound_while_replicas_come_and_fall_behind)
{
    make_table();
    using clock = std::chrono::steady_clock;
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = options_for(servers());
        options.max_lag = 200ms;
        cluster c(executor, options);
        co_await settled(c);
        std::vector<clock::time_point> acknowledged{clock::now()}; // when x was at least its index
        bool stop = false;
        co_await c.execute("update t set x = 0");
        beside writer(executor, [&]() -> asio::awaitable<void> {
            while (!stop) {
                co_await c.execute("update t set x = x + 1");
                acknowledged.push_back(clock::now());
            }
        });
        int read = 0;
        int too_old = 0;
        auto look = [&](int times) -> asio::awaitable<void> {
            for (int i = 0; i < times; ++i) {
                auto bound = clock::now() - options.max_lag;
                auto least = std::upper_bound(acknowledged.begin(), acknowledged.end(), bound) -
                             acknowledged.begin() - 1;
                auto x = co_await c.query_value<int>("select x from t");
                ++read;
                if (x < least) ++too_old;
            }
        };
        for (int round = 0; round < 3; ++round) {
            servers().first.pause_replay();
            co_await look(200);
            servers().second.pause_replay();
            co_await look(200);
            servers().first.resume_replay();
            servers().second.resume_replay();
            co_await look(200);
        }
        stop = true;
        co_await until([&] { return writer.done(); });
        BOOST_TEST(too_old == 0);
        BOOST_TEST(read == 1800);
        BOOST_TEST(figures(c, servers().first).reads > 0u);
        BOOST_TEST(figures(c, servers().second).reads > 0u);
        BOOST_TEST(figures(c, servers().first).writes + figures(c, servers().second).writes == 0u);
    });
}

BOOST_AUTO_TEST_CASE(hosts_join_and_leave)
{
    run([]() -> asio::awaitable<void> {
        auto name = [](const pgcoro::testing::server& s) { return "127.0.0.1:" + std::to_string(s.port()); };
        auto options = options_for(servers());
        options.hosts = {name(servers().primary)};
        cluster c(co_await asio::this_coro::executor, options);
        co_await settled(c);
        BOOST_TEST(co_await c.query_value<int>(which) == port_of(servers().primary));
        c.add(name(servers().first));
        c.add(name(servers().first));
        BOOST_TEST(c.stats().hosts.size() == 2u);
        co_await settled(c);
        BOOST_TEST(co_await c.query_value<int>(which) == port_of(servers().first));
        auto held = co_await c.acquire_read();
        c.remove(name(servers().first));
        BOOST_TEST(c.stats().hosts.size() == 1u);
        BOOST_TEST(co_await c.query_value<int>(which) == port_of(servers().primary));
        BOOST_TEST(co_await held->query_value<int>(which) == port_of(servers().first)); // may end in peace
        held.release();
        c.add(name(servers().first)); // and comes again
        co_await settled(c);
        BOOST_TEST(co_await c.query_value<int>(which) == port_of(servers().first));
    });
}

BOOST_AUTO_TEST_CASE(without_a_primary_a_write_fails_in_time_and_the_error_tells_of_each_host)
{
    run([]() -> asio::awaitable<void> {
        auto options = options_for(servers());
        options.hosts = {"127.0.0.1:" + std::to_string(servers().first.port()), "127.0.0.1:1"};
        options.failover_timeout = 50ms;
        options.max_lag = 0ms;
        cluster c(co_await asio::this_coro::executor, options);
        co_await until([&] { return figures(c, servers().first).role == host_role::replica; });
        std::string what;
        try {
            co_await c.execute("update t set x = 0");
        } catch (const pgcoro::connection_error& e) {
            BOOST_TEST((e.why() == pgcoro::connection_failure::wrong_role));
            what = e.what();
        }
        for (const char* part : {"no primary among the hosts of cluster 'cluster test'", "is replica",
                                 "127.0.0.1:1 is unreachable", "refused"})
            BOOST_TEST(what.find(part) != std::string::npos, what);
        BOOST_TEST(co_await c.query_value<int>(which) == port_of(servers().first)); // a read does not mind
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_waits_for_a_primary_no_longer_than_its_own_timeout)
{
    run([]() -> asio::awaitable<void> {
        auto options = options_for(servers());
        options.hosts = {"127.0.0.1:1"};
        cluster c(co_await asio::this_coro::executor, options);
        auto body = [](transaction& tx) -> asio::awaitable<void> { co_await tx.execute("select 1"); };
        pgcoro::transaction_options brief;
        brief.timeout = 50ms;
        BOOST_CHECK_THROW(co_await transactional(c, body, brief), pgcoro::deadline_exceeded);
    });
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_primary_can_be_cancelled_and_is_told_of_the_end)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = options_for(servers());
        options.hosts = {"127.0.0.1:1"};
        cluster c(executor, options);
        auto write = [&]() -> asio::awaitable<void> { co_await c.execute("update t set x = 0"); };
        beside cancelled(executor, write);
        beside closed(executor, write);
        auto body = [](transaction& tx) -> asio::awaitable<void> { co_await tx.execute("select 1"); };
        beside transaction_closed(executor,
                                  [&]() -> asio::awaitable<void> { co_await transactional(c, body); });
        co_await until([&] { return c.stats().waited_for_primary == 3; });
        co_await cancelled.end();
        BOOST_TEST(cancelled.threw<boost::system::system_error>());
        BOOST_TEST(!closed.done());
        co_await c.close();
        co_await until([&] { return closed.done() && transaction_closed.done(); });
        BOOST_TEST(closed.threw<pgcoro::pool_closed>());
        BOOST_TEST(transaction_closed.threw<pgcoro::pool_closed>());
        BOOST_CHECK_THROW(co_await c.acquire_read(), pgcoro::pool_closed);
    });
}

BOOST_AUTO_TEST_CASE(a_cluster_that_goes_away_lets_its_context_end)
{
    asio::io_context io;
    {
        cluster c(io.get_executor(), options_for(servers()));
        run_on(io, [&] { return settled(c); });
    }
    watchdog dog(patience);
    io.restart();
    io.run(); // until nothing is left to do
    BOOST_TEST(io.stopped());
}

BOOST_AUTO_TEST_CASE(calls_under_a_name_and_a_span_tell_both_wherever_they_go)
{
    make_table();
    pgcoro::span_log log;
    auto root = pgcoro::trace_context::make();
    run([&]() -> asio::awaitable<void> {
        auto options = options_for(servers());
        options.pool.observer = &log;
        cluster c(co_await asio::this_coro::executor, options);
        co_await settled(c);
        auto load = c.named("load").traced(root);
        co_await load.query("select x from t");
        co_await load.execute("update t set x = 2");
        cluster_session session(c);
        session.name_operation("load");
        session.trace(root);
        co_await session.query("select x from t");
        auto held = co_await load.acquire_read();
        co_await held->query("select x from t");
        held.release();
        co_await c.query("select x from t");
    });
    std::vector<std::string> names;
    std::set<std::string> ports;
    for (auto& s : log.all()) {
        names.push_back(s.name);
        BOOST_TEST(s.parent_id == root.span_id_text());
        if (s.name == "acquire") continue;
        BOOST_TEST(s.attributes.at("pgcoro.operation") == "load");
        ports.insert(s.attributes.at("server.port"));
    }
    std::vector<std::string> expected{"acquire", "SELECT t", "acquire", "UPDATE t",
                                      "acquire", "SELECT t", "acquire", "SELECT t"};
    BOOST_TEST(names == expected, boost::test_tools::per_element());
    BOOST_TEST(ports.contains(std::to_string(servers().primary.port())));
    BOOST_TEST(ports.size() > 1);
}

BOOST_AUTO_TEST_SUITE_END()
