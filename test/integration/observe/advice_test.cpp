// Advice from real plans and statistics.
#include "integration/connection/support.hpp"

#include <pgcoro/observe/advice.hpp>
#include <pgcoro/observe/server_view.hpp>

#include <algorithm>

using namespace pgcoro;

namespace
{

// A table without an index that helps, and one with an index that nobody uses.
void make_tables()
{
    shared_server().psql(
        "drop table if exists advised; create table advised(id int primary key, kind int, unused int);"
        "insert into advised select n, n, n from generate_series(1, 30000) n;"
        "create index advised_unused on advised(unused); analyze advised");
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe_plans)

BOOST_AUTO_TEST_CASE(a_scan_that_throws_most_rows_away_is_told_without_being_run)
{
    make_tables();
    with_connection([](connection& c) -> asio::awaitable<void> {
        explain_options o;
        auto found = co_await explain(c, o, "select * from advised where kind = $1", 7);
        BOOST_REQUIRE(found.size() == 1u);
        BOOST_TEST(found[0].what == "Seq Scan on public.advised reads far more rows than it returns");
        BOOST_TEST(contains(found[0].evidence, "29999 rows thrown away, 1 kept (estimated)"));
        auto fine = co_await explain(c, o, "select * from advised where id = $1", 7);
        BOOST_TEST(fine.empty());
        auto deletion = co_await explain(c, o, "delete from advised where kind = $1", 7);
        BOOST_TEST(deletion.size() == 1u);
        auto left = co_await c.query_value<std::int64_t>("select count(*) from advised");
        BOOST_TEST(left == 30'000);
    });
}

BOOST_AUTO_TEST_CASE(analyze_tells_what_was_read_in_fact)
{
    make_tables();
    with_connection([](connection& c) -> asio::awaitable<void> {
        explain_options o;
        o.analyze = true;
        auto found = co_await explain(c, o, "select * from advised where kind % 30000 = $1", 7);
        BOOST_REQUIRE(!found.empty());
        BOOST_TEST(contains(found[0].evidence, "29999 rows thrown away, 1 kept by the filter"));
        BOOST_TEST(!c.in_transaction());
        co_await failure_of<server_error>(explain(c, o, "select 1/($1::int)", 0));
        BOOST_TEST(!c.in_transaction());
    });
}

BOOST_AUTO_TEST_CASE(a_write_is_never_run)
{
    make_tables();
    with_connection([](connection& c) -> asio::awaitable<void> {
        explain_options o;
        o.analyze = true;
        co_await failure_of<std::invalid_argument>(explain(c, o, "delete from advised"));
        co_await failure_of<std::invalid_argument>(
            explain(c, o, "with gone as (delete from advised returning id) select * from gone"));
        auto left = co_await c.query_value<std::int64_t>("select count(*) from advised");
        BOOST_TEST(left == 30'000);
    });
}

BOOST_AUTO_TEST_CASE(tables_read_from_end_to_end_and_indexes_nobody_uses_are_listed)
{
    make_tables();
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.query("select count(*) from advised where kind = 3");
        bool scanned = false;
        while (!scanned) { // statistics come some time after their transaction
            auto tables = co_await sequential_scans(c);
            scanned = std::any_of(tables.begin(), tables.end(), [](auto& t) {
                return t.table == "public.advised" && t.rows_read >= 30'000;
            });
        }
        auto indexes = co_await unused_indexes(c);
        auto named = [&](std::string_view name) {
            return std::any_of(indexes.begin(), indexes.end(), [&](auto& i) { return i.index == name; });
        };
        BOOST_TEST(named("advised_unused"));
        BOOST_TEST(!named("advised_pkey"));
    });
}

BOOST_AUTO_TEST_SUITE_END()
