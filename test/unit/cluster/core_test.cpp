#include "cluster/core.hpp"

#include <boost/test/unit_test.hpp>

using namespace std::chrono_literals;
using pgcoro::cluster_options;
using pgcoro::host_role;
using pgcoro::read_policy;
using pgcoro::detail::choose;
using pgcoro::detail::cluster_core;
using pgcoro::detail::read_candidate;

namespace pgcoro
{
static std::ostream& operator<<(std::ostream& out, host_role r) { return out << to_string(r); }
} // namespace pgcoro

namespace
{

using hosts = std::vector<cluster_core::host_id>;

/// A core of three hosts, and a clock that the test moves.
struct three_hosts
{
    explicit three_hosts(cluster_options options = {})
        : core(options)
    {
        for (int i = 0; i < 3; ++i) core.add();
    }

    void primary(cluster_core::host_id host, std::uint64_t position, std::uint32_t timeline = 1)
    {
        core.answered(host, {false, position, timeline}, now, now + 1ms, changes);
    }
    void standby(cluster_core::host_id host, std::uint64_t position, std::uint32_t timeline = 1)
    {
        core.answered(host, {true, position, timeline}, now, now + 1ms, changes);
    }
    hosts readable(std::uint64_t needed = 0) const { return core.readable(needed, now); }

    cluster_core core;
    cluster_core::time_point now{1h};
    cluster_core::changes changes;
};

void check_same(const hosts& got, const hosts& wanted)
{
    BOOST_CHECK_EQUAL_COLLECTIONS(got.begin(), got.end(), wanted.begin(), wanted.end());
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_core_tests)

BOOST_AUTO_TEST_CASE(roles_are_what_the_servers_say)
{
    three_hosts t;
    BOOST_TEST(!t.core.primary());
    t.primary(1, 100);
    t.standby(0, 100);
    t.core.failed(2, t.changes);
    BOOST_TEST(*t.core.primary() == 1u);
    BOOST_TEST(t.core.role(0) == host_role::replica);
    BOOST_TEST(t.core.role(2) == host_role::unreachable);
    BOOST_TEST(t.changes.size() == 3u);
    t.changes.clear();
    t.primary(1, 101);
    t.standby(0, 101);
    BOOST_TEST(t.changes.empty()); // nothing new
}

BOOST_AUTO_TEST_CASE(a_replica_serves_reads_once_it_is_known_to_be_up_to_date)
{
    three_hosts t;
    t.standby(0, 100);
    check_same(t.readable(), {});
    t.primary(2, 100);
    check_same(t.readable(), {});
    t.standby(0, 100);
    check_same(t.readable(), {0});
    t.standby(1, 99);
    check_same(t.readable(), {0});
}

BOOST_AUTO_TEST_CASE(a_replica_that_applies_nothing_is_left_out_after_the_bound)
{
    three_hosts t;
    t.primary(0, 100);
    t.standby(1, 100);
    t.standby(2, 100);
    for (int i = 1; i <= 19; ++i) {
        t.now += 500ms;
        t.primary(0, 100 + i);
        t.standby(1, 100);
        t.standby(2, 100 + i);
        check_same(t.readable(), {1, 2});
    }
    BOOST_TEST((*t.core.lag(1, t.now) == 9500ms));
    BOOST_TEST((*t.core.lag(2, t.now) == 0ms));
    t.now += 501ms;
    check_same(t.readable(), {2});
    t.primary(0, 130);
    t.standby(1, 130);
    check_same(t.readable(), {1, 2});
}

BOOST_AUTO_TEST_CASE(an_idle_primary_leaves_no_replica_behind)
{
    three_hosts t;
    for (int i = 0; i < 1000; ++i) {
        t.primary(0, 100);
        t.standby(1, 100);
        check_same(t.readable(), {1});
        t.now += 500ms;
    }
}

BOOST_AUTO_TEST_CASE(the_lag_grows_while_there_is_no_primary_to_compare_with)
{
    three_hosts t;
    t.primary(0, 100);
    t.standby(1, 100);
    t.core.failed(0, t.changes);
    t.now += 9s;
    t.standby(1, 100);
    check_same(t.readable(), {1});
    t.now += 2s;
    t.standby(1, 100);
    check_same(t.readable(), {});
}

BOOST_AUTO_TEST_CASE(without_a_bound_any_replica_will_do)
{
    cluster_options options;
    options.max_lag = 0ms;
    three_hosts t(options);
    t.standby(1, 5);
    t.now += 1h;
    check_same(t.readable(), {1});
}

BOOST_AUTO_TEST_CASE(many_samples_later_a_lag_is_never_told_too_small)
{
    cluster_options options;
    options.max_lag = 1h;
    three_hosts t(options);
    auto begun = t.now;
    for (int i = 0; i < 5000; ++i) {
        t.primary(0, 1000 + i);
        t.now += 500ms;
    }
    t.standby(1, 1000 + 2500); // applied what was written up to 1250 s
    auto truth = t.now - (begun + 2500 * 500ms);
    BOOST_TEST((*t.core.lag(1, t.now) >= truth));
    BOOST_TEST((*t.core.lag(1, t.now) <= truth + 40s)); // samples are up to 1 h / 128 apart
}

BOOST_AUTO_TEST_CASE(a_read_that_must_see_a_write_gets_a_replica_that_has_it)
{
    three_hosts t;
    t.primary(0, 100);
    t.standby(1, 100);
    t.standby(2, 120); // asked later
    check_same(t.readable(100), {1, 2});
    check_same(t.readable(110), {2});
    check_same(t.core.behind(110, t.now), {1});
    t.core.applied(1, 115, 0);
    check_same(t.readable(110), {1, 2});
    check_same(t.readable(UINT64_MAX), {});
}

BOOST_AUTO_TEST_CASE(the_primary_reads_only_when_it_may)
{
    cluster_options options;
    options.primary_reads = true;
    three_hosts t(options);
    t.primary(0, 100);
    t.standby(1, 100);
    check_same(t.readable(), {0, 1});
    check_same(t.readable(500), {0}); // it has seen whatever was written
}

BOOST_AUTO_TEST_CASE(of_two_primaries_the_one_promoted_last_is_meant)
{
    three_hosts t;
    t.primary(0, 100, 1);
    t.primary(1, 90, 2);
    BOOST_TEST(*t.core.primary() == 1u);
    BOOST_TEST(t.core.role(0) == host_role::outdated);
    t.primary(0, 200, 1);
    BOOST_TEST(*t.core.primary() == 1u);
    // Also when the new one is away for a while.
    t.core.failed(1, t.changes);
    t.primary(0, 300, 1);
    BOOST_TEST(!t.core.primary());
    BOOST_TEST(t.core.role(0) == host_role::outdated);
    t.standby(0, 100);
    BOOST_TEST(t.core.role(0) == host_role::replica);
}

BOOST_AUTO_TEST_CASE(another_server_behind_the_same_address_is_a_change_too)
{
    three_hosts t;
    t.primary(0, 100, 1);
    t.changes.clear();
    t.primary(0, 90, 2);
    BOOST_TEST_REQUIRE(t.changes.size() == 1u);
    BOOST_TEST(t.changes[0].from == host_role::primary);
    BOOST_TEST(t.changes[0].to == host_role::primary);
    t.standby(1, 80, 2);
    check_same(t.readable(), {}); // what was known of the log is known no more
    t.changes.clear();
    t.primary(0, 95, 2);
    BOOST_TEST(t.changes.empty());
}

BOOST_AUTO_TEST_CASE(a_replica_of_an_outdated_primary_is_not_taken_for_up_to_date)
{
    three_hosts t;
    t.primary(0, 100, 1);
    t.standby(2, 100, 1);
    t.primary(1, 90, 2);
    t.now += 11s;
    t.primary(1, 95, 2);
    t.standby(2, 500, 1); // farther, on another log
    check_same(t.readable(), {});
    check_same(t.readable(95), {});
    t.standby(2, 95, 2);
    check_same(t.readable(), {2});
}

BOOST_AUTO_TEST_CASE(a_replica_beyond_the_fork_is_never_taken_for_up_to_date)
{
    three_hosts t;
    t.primary(0, 100, 1);
    t.standby(1, 100, 1);
    t.standby(2, 100, 1);
    check_same(t.readable(), {1, 2});
    t.core.failed(0, t.changes);
    t.primary(1, 100, 2);
    t.standby(2, 110, 1);
    check_same(t.readable(), {}); // it may have what the new primary never got
    check_same(t.core.behind(200, t.now), {});
    BOOST_TEST(t.core.unusable(2) ==
               "it follows timeline 1 as far as it says, and the primary is on 2");
    t.standby(2, 100, 2); // it was rewound
    t.primary(1, 100, 2);
    t.standby(2, 100, 2);
    check_same(t.readable(), {2});
    BOOST_TEST(t.core.unusable(2) == "");
}

BOOST_AUTO_TEST_CASE(a_timeline_once_followed_is_remembered_until_a_restart)
{
    three_hosts t;
    t.primary(0, 100, 2);
    auto says = [&](std::uint32_t timeline, std::int64_t started) {
        t.core.answered(1, {.in_recovery = true, .position = 100, .timeline = timeline, .started = started}, t.now,
                        t.now + 1ms, t.changes);
    };
    says(2, 7); // by its receiver
    check_same(t.readable(), {1});
    says(1, 7); // the receiver is not there for a moment
    check_same(t.readable(), {1});
    says(1, 8); // another process, which may be another standby
    check_same(t.readable(), {});
}

BOOST_AUTO_TEST_CASE(a_replica_without_a_known_timeline_serves_no_reads_within_a_bound)
{
    three_hosts t;
    t.primary(0, 100);
    t.standby(1, 100, 0);
    check_same(t.readable(), {});
    BOOST_TEST(t.core.unusable(1).find("pg_monitor") != std::string::npos);
    cluster_options any_age;
    any_age.max_lag = 0s;
    three_hosts u(any_age);
    u.primary(0, 100);
    u.standby(1, 100, 0);
    check_same(u.readable(), {1}); // old or not is the same
    check_same(u.readable(50), {}); // but not that it has a write
}

BOOST_AUTO_TEST_CASE(a_standby_on_which_each_statement_fails_serves_no_reads)
{
    cluster_options any_age;
    any_age.max_lag = 0s;
    three_hosts t(any_age);
    t.primary(0, 100);
    t.core.answered(1, {.in_recovery = true, .position = 100, .timeline = 1, .serializable = true}, t.now, t.now + 1ms,
                    t.changes);
    check_same(t.readable(), {});
    BOOST_TEST(t.core.unusable(1).find("default_transaction_isolation") != std::string::npos);
}

namespace
{

// Hosts of two database clusters, A and B.
struct two_systems : three_hosts
{
    void primary_of(std::uint64_t system, cluster_core::host_id host, std::uint32_t timeline)
    {
        core.answered(host, {.position = 100, .timeline = timeline, .system = system}, now, now + 1ms, changes);
    }
    void standby_of(std::uint64_t system, cluster_core::host_id host, std::uint32_t timeline)
    {
        core.answered(host, {.in_recovery = true, .position = 100, .timeline = timeline, .system = system}, now, now + 1ms,
                      changes);
    }
};
constexpr std::uint64_t a = 1111;
constexpr std::uint64_t b = 2222;

} // namespace

BOOST_AUTO_TEST_CASE(another_database_cluster_at_the_same_address_is_a_beginning)
{
    two_systems t;
    t.primary_of(a, 0, 7);
    t.standby_of(a, 1, 7);
    check_same(t.readable(), {1});
    t.changes.clear();
    t.primary_of(b, 0, 1); // after pg_upgrade: a lower timeline
    BOOST_TEST(*t.core.primary() == 0u);
    BOOST_TEST_REQUIRE(t.changes.size() == 1u);
    BOOST_TEST(t.changes[0].why == "another database cluster: its system identifier is 2222, and was 1111");
    check_same(t.readable(), {}); // the standby is of the old one
    BOOST_TEST(t.core.unusable(1).find("another database cluster") != std::string::npos);
    t.standby_of(b, 1, 1);
    check_same(t.readable(), {1});
}

BOOST_AUTO_TEST_CASE(another_database_cluster_beside_the_primary_is_outdated)
{
    two_systems t;
    t.primary_of(a, 0, 1);
    t.primary_of(b, 2, 9);
    BOOST_TEST(*t.core.primary() == 0u);
    BOOST_TEST(t.core.role(2) == host_role::outdated);
}

BOOST_AUTO_TEST_CASE(another_database_cluster_waits_while_a_standby_may_be_promoted)
{
    two_systems t;
    t.primary_of(a, 0, 1);
    t.standby_of(a, 1, 1);
    t.core.failed(0, t.changes);
    t.primary_of(b, 2, 9);
    BOOST_TEST(!t.core.primary());
    t.primary_of(a, 1, 2);
    BOOST_TEST(*t.core.primary() == 1u);
    t.core.failed(1, t.changes); // and now nothing of it answers
    t.primary_of(b, 2, 9);
    BOOST_TEST(*t.core.primary() == 2u);
}

BOOST_AUTO_TEST_CASE(a_replica_that_was_made_anew_is_not_known_to_be_up_to_date)
{
    three_hosts t;
    t.primary(0, 100);
    t.standby(1, 100);
    check_same(t.readable(), {1});
    t.standby(1, 50);
    check_same(t.readable(), {});
}

BOOST_AUTO_TEST_CASE(a_connection_that_says_standby_ends_the_primary)
{
    three_hosts t;
    t.primary(0, 100);
    t.core.is_standby(0, t.changes);
    BOOST_TEST(!t.core.primary());
    BOOST_TEST(t.core.role(0) == host_role::replica);
}

BOOST_AUTO_TEST_CASE(a_removed_host_stays_away_whatever_it_says)
{
    three_hosts t;
    t.primary(0, 100);
    t.core.remove(0, t.changes);
    t.primary(0, 100);
    BOOST_TEST(!t.core.primary());
    BOOST_TEST(t.core.role(0) == host_role::removed);
}

BOOST_AUTO_TEST_CASE(each_policy_chooses_by_its_own_measure)
{
    const std::vector<read_candidate> three = {{5, 3ms}, {1, 9ms}, {2, 1ms}};
    for (std::uint64_t turn = 0; turn < 6; ++turn) {
        BOOST_TEST(choose(read_policy::round_robin, three, turn, 7, 7) == turn % 3);
        BOOST_TEST(choose(read_policy::least_in_use, three, turn, 7, 7) == 1u);
        BOOST_TEST(choose(read_policy::lowest_latency, three, turn, 7, 7) == 2u);
    }
    const std::vector<read_candidate> equal(3);
    for (std::uint64_t turn = 0; turn < 6; ++turn)
        BOOST_TEST(choose(read_policy::least_in_use, equal, turn, 0, 0) == turn % 3);
}

BOOST_AUTO_TEST_CASE(two_choices_never_take_the_most_used_and_reach_all_others)
{
    const std::vector<read_candidate> three = {{5, 3ms}, {1, 9ms}, {2, 1ms}};
    std::vector<int> chosen(3);
    for (std::uint32_t first = 0; first < 30; ++first)
        for (std::uint32_t second = 0; second < 30; ++second)
            ++chosen[choose(read_policy::two_choices, three, 0, first, second)];
    BOOST_TEST(chosen[0] == 0);
    BOOST_TEST(chosen[1] == 600);
    BOOST_TEST(chosen[2] == 300);
    BOOST_TEST(choose(read_policy::two_choices, {{9, 1ms}}, 0, 17, 18) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
