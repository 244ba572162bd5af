#include "cli/support.hpp"

#include <regex>

namespace
{

std::string at(const std::string& uri) { return " --url '" + uri + "'"; }

// Not masked figures but whole lines that are so or so from one time to the next.
std::string without_hit_ratio(const std::string& table)
{
    static const std::regex lines("  [A-Z]+ +cache hit ratio[^\n]*\n( {20,}[^\n]*\n)?");
    return std::regex_replace(table, lines, "");
}

} // namespace

BOOST_AUTO_TEST_SUITE(health)

BOOST_AUTO_TEST_CASE(the_table_names_every_check_with_its_figure_and_what_to_do)
{
    pgcoro::testing::server_options settled; // so that nothing but what a test server is shows
    settled.settings["fsync"] = "off";
    pgcoro::testing::server server(settled);
    server.psql("create table account (id int)");
    auto got = pgcoro_command("health --tables account,ledger" + at(server.tcp_uri()));
    BOOST_TEST(got.code == 2);
    BOOST_TEST(got.err == "");
    compare_with_golden(without_hit_ratio(got.out), "health.txt");
}

BOOST_AUTO_TEST_CASE(the_json_is_as_the_published_schema_says)
{
    auto got = pgcoro_command("health --format json --test-connectivity --test-performance" +
                              at(shared_server().uri()));
    BOOST_TEST(got.code == 1); // a test server's fsync is off
    require_valid(got.out);
    auto report = json_lines(got.out).at(0);
    BOOST_TEST(report.at("status").as_string() == "DEGRADED");
    BOOST_TEST(report.at("metrics").at("availability").to_number<double>() == 1);
    BOOST_TEST(report.at("metrics").at("circuit_breaker_state").as_string() == "closed");
    BOOST_TEST(check_named(report, "fsync").at("severity").as_string() == "warning");
    BOOST_TEST(check_named(report, "round trip").at("message").as_string().ends_with("of 1000"));
    BOOST_TEST(check_named(report, "replication").at("severity").as_string() == "ok");
}

BOOST_AUTO_TEST_CASE(a_server_that_cannot_be_reached_is_critical_and_still_valid_json)
{
    auto got = pgcoro_command("health --format json --url postgresql://app:geheim@127.0.0.1:1/app");
    BOOST_TEST(got.code == 2);
    require_valid(got.out);
    auto report = json_lines(got.out).at(0);
    BOOST_TEST(report.at("metrics").at("availability").to_number<double>() == 0);
    BOOST_TEST(report.at("metrics").at("query_performance_ms").is_null());
    BOOST_TEST(check_named(report, "connect").at("command").as_string() == "pgcoro doctor");
    BOOST_TEST((got.out + got.err).find("geheim") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_server_that_does_not_answer_is_told_within_the_time_limit)
{
    pgcoro::testing::server server;
    server.pause();
    auto got = pgcoro_command("health --timeout 0.3 --format json" + at(server.tcp_uri()));
    server.resume();
    BOOST_TEST(got.code == 2);
    require_valid(got.out);
}

BOOST_AUTO_TEST_CASE(the_server_is_taken_from_the_environment)
{
    auto uri = shared_server().uri();
    auto by_url = pgcoro_command("health --format json", "DATABASE_URL='" + uri + "'");
    BOOST_TEST(by_url.code == 1, by_url.out);
    auto by_parts =
        pgcoro_command("health --format json",
                       "PGUSER=postgres PGDATABASE=postgres PGHOST=" + shared_server().socket_dir().string() +
                           " PGPORT=" + std::to_string(shared_server().port()));
    BOOST_TEST(by_parts.code == 1, by_parts.out);
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_lock_is_a_finding)
{
    auto& server = shared_server();
    server.psql("drop table if exists waited; create table waited (id int)");
    psql_session holder(server, "holder");
    holder.tell("begin; lock table waited");
    wait_until(
        [&] {
            return server.psql(
                       "select count(*) from pg_locks where relation = 'waited'::regclass and granted") ==
                   "1";
        },
        "the lock");
    psql_session waiter(server, "waiter");
    waiter.tell("select * from waited");
    auto waits = [&] {
        return server.psql(
                   "select count(*) from pg_locks where not granted and waitstart < clock_timestamp() - "
                   "interval '1.1 s'") == "1";
    };
    wait_until(waits, "the waiter");
    auto got = pgcoro_command("health --format json" + at(server.uri()));
    holder.end();
    auto report = json_lines(got.out).at(0);
    auto locks = check_named(report, "locks");
    BOOST_TEST(locks.at("severity").as_string() == "warning");
    BOOST_TEST(locks.at("command").as_string() == "pgcoro locks");
}

BOOST_AUTO_TEST_SUITE_END()
