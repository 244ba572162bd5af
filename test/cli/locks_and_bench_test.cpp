#include "cli/support.hpp"

namespace
{

std::string at_shared() { return " --url '" + shared_server().uri() + "'"; }

} // namespace

BOOST_AUTO_TEST_SUITE(locks)

BOOST_AUTO_TEST_CASE(nobody_waits)
{
    pgcoro::testing::server server;
    auto got = pgcoro_command("locks --url '" + server.uri() + "'");
    BOOST_TEST(got.code == 0);
    BOOST_TEST(got.out == "nobody waits for a lock\n");
}

BOOST_AUTO_TEST_CASE(the_tree_shows_who_waits_for_whom)
{
    auto& server = shared_server();
    server.psql("drop table if exists wanted; create table wanted (id int primary key, n int); insert into "
                "wanted values (1, 0), (2, 0)");
    auto waiting = [&](const char* n) {
        wait_until(
            [&] { return server.psql("select count(distinct pid) from pg_locks where not granted") == n; },
            "waiters");
    };
    psql_session holder(server, "holder");
    holder.tell("begin; update wanted set n = 1 where id = 1");
    wait_until(
        [&] {
            return server.psql("select count(*) from pg_stat_activity where application_name = 'holder' and "
                               "state = 'idle in transaction'") == "1";
        },
        "the holder");
    psql_session middle(server, "middle");
    middle.tell("begin; update wanted set n = 1 where id = 2; update wanted set n = 2 where id = 1");
    waiting("1");
    psql_session last(server, "last");
    last.tell("update wanted set n = 3 where id = 2");
    waiting("2");

    auto table = pgcoro_command("locks" + at_shared());
    auto json = pgcoro_command("locks --format json --show-queries" + at_shared());
    auto critical = pgcoro_command("locks --critical 0" + at_shared());
    holder.end();
    middle.end(); // before the last one, which waits for it

    BOOST_TEST(table.code == 1);
    compare_with_golden(table.out, "locks.txt");
    auto report = json_lines(json.out).at(0);
    BOOST_TEST(report.at("waiting").to_number<int>() == 2);
    auto& root = report.at("roots").as_array().at(0);
    BOOST_TEST(root.at("application").as_string() == "holder");
    auto& second = root.at("waiters").as_array().at(0);
    BOOST_TEST(second.at("application").as_string() == "middle");
    BOOST_TEST(second.at("query").as_string().find("set n = 2") != boost::json::string::npos);
    BOOST_TEST(second.at("waiters").as_array().at(0).at("application").as_string() == "last");
    BOOST_TEST(critical.code == 2);
}

BOOST_AUTO_TEST_CASE(without_a_server_it_points_to_the_doctor)
{
    auto got = pgcoro_command("locks --url postgresql://app:geheim@127.0.0.1:1/app");
    BOOST_TEST(got.code == 2);
    BOOST_TEST(got.err.find("pgcoro doctor") != std::string::npos);
    BOOST_TEST(got.err.find("geheim") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bench)

BOOST_AUTO_TEST_CASE(it_measures_selects_and_transactions_and_leaves_nothing_behind)
{
    auto got = pgcoro_command("bench --duration 0.3 --clients 4 --rows 100 --format json" + at_shared());
    BOOST_TEST(got.code == 0, got.err);
    auto report = json_lines(got.out).at(0);
    auto& measures = report.at("measures").as_array();
    BOOST_REQUIRE(measures.size() == 2);
    for (auto& m : measures) {
        BOOST_TEST(m.at("errors").to_number<int>() == 0);
        auto count = m.at("count").to_number<std::int64_t>();
        BOOST_TEST(count > 0);
        for (auto& bar : m.at("histogram").as_array()) count -= bar.at("count").to_number<std::int64_t>();
        BOOST_TEST(count == 0);
    }
    BOOST_TEST(shared_server().psql("select count(*) from pg_namespace where nspname like 'pgcoro_bench%'") ==
               "0");
}

BOOST_AUTO_TEST_CASE(the_table_has_percentiles_and_a_histogram)
{
    auto got = pgcoro_command("bench --read-only --duration 0.2 --clients 2 --url '" +
                              shared_server().tcp_uri() + "'");
    BOOST_TEST(got.code == 0);
    auto head = got.out.substr(0, got.out.find("    ≤"));
    compare_with_golden(head, "bench.txt");
    BOOST_TEST(got.out.find("█") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
