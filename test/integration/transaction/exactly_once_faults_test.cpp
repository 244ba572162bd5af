// Transactions under faults of connections and servers: the tables must agree with the outcome that each
// caller of `transactional` received. `commit_unknown` is allowed only where docs/retries.md says so.
//
// PGCORO_EXACTLY_ONCE_ROUNDS=n runs each case n times (1 by default), PGCORO_EXACTLY_ONCE_SEED=s repeats the
// faults.
#include "from_environment.hpp"
#include "integration/pooler/bouncer.hpp"
#include "integration/transaction/numbered_work.hpp"
#include "integration/transaction/quick_server.hpp"
#include "integration/transaction/synchronous_pair.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <thread>

using pgcoro::resolve_commit;
using test::numbered_outcome;
using test::numbered_work;
using test::random_cuts;
using namespace std::chrono_literals;

namespace pgcoro
{
std::ostream& operator<<(std::ostream& out, resolve_commit how)
{
    return out << (how == resolve_commit::by_id ? "by_id" : "by_marker");
}
} // namespace pgcoro

namespace
{

const auto ways_to_resolve = boost::unit_test::data::make({resolve_commit::by_id, resolve_commit::by_marker});

// Each round has its own seed.
void for_each_round(const std::function<void(std::uint32_t seed)>& round)
{
    auto seed = static_cast<std::uint32_t>(test::from_environment("PGCORO_EXACTLY_ONCE_SEED", std::random_device{}()));
    for (auto rounds = test::from_environment("PGCORO_EXACTLY_ONCE_ROUNDS", 1); rounds > 0; --rounds, ++seed)
        BOOST_TEST_CONTEXT("PGCORO_EXACTLY_ONCE_SEED=" << seed) { round(seed); }
}

pgcoro::pool_options through(const test::proxy& p)
{
    pgcoro::pool_options o;
    o.connection = pgcoro::connection_options::from_uri(p.uri());
    return o;
}

std::chrono::milliseconds between(int from, int to, std::mt19937& rng)
{
    return std::chrono::milliseconds(std::uniform_int_distribution<int>(from, to)(rng));
}

void sleep_between(int from, int to, std::mt19937& rng)
{
    std::this_thread::sleep_for(between(from, to, rng));
}

bool toss(std::mt19937& rng) { return std::bernoulli_distribution(0.5)(rng); }

void check_promises(const numbered_outcome& o)
{
    BOOST_TEST_MESSAGE(o.committed << " committed, " << o.failed << " failed, " << o.unknown
                                   << " unknown, of which " << o.unknown_happened << " happened");
    for (auto& why : o.unknown_reasons) BOOST_TEST_MESSAGE("unknown: " << why);
    for (auto& what : o.wrong) BOOST_ERROR(what);
    BOOST_TEST(o.committed >= 50u); // else the test has shown nothing
}

// Behind a crash, each transaction whose COMMIT was under way, once.
std::size_t unknown_allowed(resolve_commit how, std::size_t crashes)
{
    return how == resolve_commit::by_id ? crashes * numbered_work::callers : 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(exactly_once)

BOOST_DATA_TEST_CASE(whatever_is_cut_on_one_server_is_known, ways_to_resolve)
{
    for_each_round([&](std::uint32_t seed) {
        std::mt19937 rng(seed);
        numbered_work::create_tables(quick_server());
        random_cuts cuts(seed, 40);
        test::proxy address(test::socket_of(quick_server()), std::ref(cuts));
        numbered_work work(through(address), sample, seed);
        work.run_during([&] { work.let_pass(300, 300, rng); });
        auto came = work.compare({&quick_server()});
        check_promises(came);
        BOOST_TEST(came.unknown == 0u);
        BOOST_TEST(cuts.count() >= 20u);
    });
}

BOOST_DATA_TEST_CASE(a_failover_to_the_synchronous_standby_loses_and_repeats_nothing, ways_to_resolve)
{
    for_each_round([&](std::uint32_t seed) {
        std::mt19937 rng(seed);
        synchronous_pair servers;
        numbered_work::create_tables(servers.primary);
        random_cuts cuts(seed, 100);
        test::proxy address(test::socket_of(servers.primary), std::ref(cuts));
        numbered_work work(through(address), sample, seed);
        work.run_during([&] {
            work.let_pass(50, 100, rng);
            servers.standby.pause(); // commits wait, and are lost with the primary
            sleep_between(0, 300, rng);
            if (toss(rng))
                servers.primary.psql(
                    "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
            sleep_between(0, 100, rng);
            servers.primary.kill();
            servers.standby.resume();
            servers.standby.promote();
            address.lead_to(test::socket_of(servers.standby));
            work.let_pass(50, 100, rng);
        });
        auto came = work.compare({&servers.standby});
        check_promises(came);
        BOOST_TEST(came.unknown <= unknown_allowed(sample, 1));
    });
}

BOOST_DATA_TEST_CASE(a_server_that_crashes_behind_a_pooler_loses_and_repeats_nothing, ways_to_resolve)
{
    for_each_round([&](std::uint32_t seed) {
        std::mt19937 rng(seed);
        auto server = quick_primary();
        numbered_work::create_tables(server);
        bouncer pooler(server, "transaction", 6);
        random_cuts cuts(seed, 100);
        test::proxy address({pooler.port(), server.password()}, std::ref(cuts));
        auto where = through(address);
        where.connection.pooler = pgcoro::pooler_mode::transaction;
        numbered_work work(where, sample, seed);
        constexpr std::size_t crashes = 3;
        work.run_during([&] {
            for (std::size_t i = 0; i < crashes; ++i) {
                work.let_pass(20, 60, rng);
                if (toss(rng)) {
                    server.kill();
                    server.start();
                } else { // of one backend, from which the server recovers by itself
                    auto pid = server.psql(
                        "select pid from pg_stat_activity where backend_type = 'client backend' and "
                        "pid <> pg_backend_pid() order by state limit 1");
                    if (!pid.empty()) ::kill(std::stoi(pid), SIGKILL);
                }
            }
            work.let_pass(20, 60, rng);
        });
        auto came = work.compare({&server});
        check_promises(came);
        BOOST_TEST(came.unknown <= unknown_allowed(sample, crashes));
    });
}

BOOST_DATA_TEST_CASE(two_clusters_behind_one_name_share_no_transaction, ways_to_resolve)
{
    for_each_round([&](std::uint32_t seed) {
        std::mt19937 rng(seed);
        auto blue = quick_primary();
        pgcoro::testing::server_options as_blue;
        as_blue.password = blue.password();
        auto green = quick_primary(as_blue);
        numbered_work::create_tables(blue);
        numbered_work::create_tables(green);
        random_cuts cuts(seed, 100);
        test::proxy address(test::socket_of(blue), std::ref(cuts));
        numbered_work work(through(address), sample, seed);
        work.run_during([&] {
            for (int i = 0; i < 10; ++i) {
                work.let_pass(10, 30, rng);
                address.lead_to(test::socket_of(i % 2 == 0 ? green : blue));
            }
        });
        auto came = work.compare({&blue, &green});
        check_promises(came);
        BOOST_TEST(came.unknown <= cuts.count());
    });
}

namespace
{

void replicate(pgcoro::testing::server& blue, pgcoro::testing::server& green)
{
    blue.psql("create publication all_of_it for table numbered, pgcoro.commit_marker");
    green.psql("create subscription of_blue connection 'host=127.0.0.1 port=" + std::to_string(blue.port()) +
               " user=postgres dbname=postgres password=" + blue.password() + "' publication all_of_it");
    auto ready = "select bool_and(srsubstate = 'r') from pg_subscription_rel";
    while (green.psql(ready) != "t") std::this_thread::sleep_for(5ms);
}

// No session of the callers' is left, and the subscriber has all that they committed.
void drain(pgcoro::testing::server& blue)
{
    const std::string sessions = " from pg_stat_activity where application_name = 'exactly once'";
    while (blue.psql("select count(pg_terminate_backend(pid))" + sessions) != "0")
        std::this_thread::sleep_for(2ms);
    auto end = blue.psql("select pg_current_wal_lsn()");
    while (blue.psql("select count(*) from pg_stat_replication where replay_lsn >= '" + end + "'") != "1")
        std::this_thread::sleep_for(2ms);
}

} // namespace

BOOST_DATA_TEST_CASE(a_switch_from_blue_to_green_repeats_nothing, ways_to_resolve)
{
    for_each_round([&](std::uint32_t seed) {
        std::mt19937 rng(seed);
        pgcoro::testing::server_options publishing;
        publishing.settings["wal_level"] = "logical";
        auto blue = quick_primary(publishing);
        publishing.password = blue.password();
        auto green = quick_primary(publishing);
        numbered_work::create_tables(blue);
        numbered_work::create_tables(green);
        replicate(blue, green);
        random_cuts cuts(seed, 100);
        test::proxy address(test::socket_of(blue), std::ref(cuts));
        numbered_work work(through(address), sample, seed);
        work.run_during([&] {
            work.let_pass(50, 100, rng);
            address.lead_to({1, {}}); // nowhere
            drain(blue);
            address.lead_to(test::socket_of(green));
            work.let_pass(50, 100, rng);
        });
        auto came = work.compare({&green});
        check_promises(came);
        BOOST_TEST(came.unknown <= std::size_t{numbered_work::callers});
        // A marker that was replicated is found; one that is not there may still come.
        if (sample == resolve_commit::by_marker) BOOST_TEST(came.unknown_happened == 0u);
    });
}

BOOST_AUTO_TEST_SUITE_END()
