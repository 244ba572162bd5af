#include <pgcoro/testing/server.hpp>

#include <boost/test/unit_test.hpp>

#include <memory>
#include <stdexcept>
#include <string>

namespace
{

using pgcoro::testing::server;
using pgcoro::testing::server_options;
using pgcoro::testing::shutdown;

server replica_of(const server& primary, server_options options = {})
{
    options.replica_of = &primary;
    return server(options);
}

constexpr const char* count = "select count(*) from t";

} // namespace

BOOST_AUTO_TEST_SUITE(testing_replication)

BOOST_AUTO_TEST_CASE(a_replica_has_what_its_primary_had_and_gets_what_it_writes)
{
    server primary;
    primary.psql("create table t as select 1 as x");
    const server replica = replica_of(primary);
    BOOST_TEST(replica.in_recovery());
    BOOST_TEST(!primary.in_recovery());
    BOOST_TEST(replica.psql(count) == "1");
    primary.psql("insert into t values (2)");
    replica.catch_up_with(primary);
    BOOST_TEST(replica.psql(count) == "2");
    BOOST_CHECK_THROW(replica.psql("insert into t values (3)"), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(two_replicas_change_places_with_their_primary)
{
    server first;
    first.psql("create table t as select 1 as x");
    server second = replica_of(first);
    server third = replica_of(first);
    BOOST_CHECK_THROW(first.promote(), std::logic_error);

    first.stop(shutdown::fast);
    second.promote();
    BOOST_TEST(!second.in_recovery());
    third.follow(second);
    first.follow(second); // from its next start
    first.start();
    second.psql("insert into t values (2)");
    for (const server* replica : {&first, &third}) {
        replica->catch_up_with(second);
        BOOST_TEST(replica->in_recovery());
        BOOST_TEST(replica->psql(count) == "2");
    }
}

BOOST_AUTO_TEST_CASE(a_running_primary_that_follows_another_is_restarted_as_its_standby)
{
    server first;
    server second = replica_of(first);
    const auto before = first.pid();
    first.psql("create table t as select 1 as x");
    second.catch_up_with(first);
    second.promote();
    second.psql("insert into t values (2)");
    // It wrote nothing after the other one's promotion but its shutdown checkpoint: it must be begun anew.
    first = replica_of(second);
    BOOST_TEST(first.pid() != before);
    first.catch_up_with(second);
    BOOST_TEST(first.psql(count) == "2");
}

BOOST_AUTO_TEST_CASE(a_paused_replica_applies_nothing_until_it_is_resumed)
{
    server primary;
    primary.psql("create table t as select 1 as x");
    server replica = replica_of(primary);
    replica.catch_up_with(primary);
    replica.pause_replay();
    primary.psql("insert into t values (2)");
    BOOST_TEST(replica.psql(count) == "1");
    replica.resume_replay();
    replica.catch_up_with(primary);
    BOOST_TEST(replica.psql(count) == "2");
}

BOOST_AUTO_TEST_CASE(a_replica_lags_by_its_own_settings_and_keeps_those_of_the_primary)
{
    server primary({.settings = {{"work_mem", "5MB"}}});
    primary.psql("create table t as select 1 as x");
    const server replica = replica_of(primary, {.settings = {{"recovery_min_apply_delay", "1h"}}});
    primary.psql("insert into t values (2)");
    BOOST_TEST(replica.psql(count) == "1");
    BOOST_TEST(replica.psql("show work_mem") == "5MB");
}

BOOST_AUTO_TEST_CASE(a_replica_logs_in_with_a_password)
{
    server_options options;
    options.password = "it's a \\secret";
    options.auth = "scram-sha-256";
    server primary(options);
    const server replica = replica_of(primary, {.auth = "scram-sha-256"}); // the password is the primary's
    primary.psql("create table t as select 1 as x");
    replica.catch_up_with(primary);
    BOOST_TEST(replica.psql(count) == "1");
    BOOST_TEST(replica.password() == options.password);
}

BOOST_AUTO_TEST_SUITE_END()
