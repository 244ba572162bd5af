// Statements and what they return.
#include "integration/connection/support.hpp"

#include <boost/describe/class.hpp>

#include <tuple>

using pgcoro::connection;
using pgcoro::mapping_error;
using pgcoro::server_error;

namespace
{

struct account
{
    std::int64_t id;
    std::string owner;
    std::optional<int> cents;
};

struct described_account
{
    std::optional<int> cents;
    std::string owner;
    std::int64_t id = 0;
};
BOOST_DESCRIBE_STRUCT(described_account, (), (cents, owner, id))

constexpr auto accounts =
    "select * from (values (1::bigint, 'ann', 100), (2, 'bob', null)) as a (id, owner, cents) order by id";

} // namespace

BOOST_AUTO_TEST_SUITE(querying)

BOOST_AUTO_TEST_CASE(rows_become_aggregates_by_position)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = co_await c.query_as<account>(accounts);
        BOOST_REQUIRE(rows.size() == 2);
        BOOST_TEST(rows[0].id == 1);
        BOOST_TEST(rows[0].owner == "ann");
        BOOST_TEST(rows[0].cents.value() == 100);
        BOOST_TEST(rows[1].owner == "bob");
        BOOST_TEST(!rows[1].cents.has_value());
    });
}

BOOST_AUTO_TEST_CASE(rows_become_described_structs_by_name)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = co_await c.query_as<described_account>(accounts);
        BOOST_REQUIRE(rows.size() == 2);
        BOOST_TEST(rows[0].id == 1);
        BOOST_TEST(rows[0].owner == "ann");
        BOOST_TEST(rows[0].cents.value() == 100);
    });
}

BOOST_AUTO_TEST_CASE(rows_become_tuples_and_single_values)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        using row = std::tuple<std::int64_t, std::string, std::optional<int>>;
        auto rows = co_await c.query_as<row>(accounts);
        BOOST_REQUIRE(rows.size() == 2);
        BOOST_TEST(std::get<1>(rows[1]) == "bob");
        auto numbers = co_await c.query_as<int>("select generate_series(1, 3)");
        BOOST_TEST((numbers == std::vector{1, 2, 3}));
    });
}

BOOST_AUTO_TEST_CASE(a_value_is_the_only_row)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto yes = co_await c.query_value<bool>("select true");
        BOOST_TEST(yes);
        auto ann = co_await c.query_value<account>("select 1::bigint, 'ann', 5");
        BOOST_TEST(ann.owner == "ann");
        auto none = co_await failure_of<mapping_error>(c.query_value<int>("select 1 where false"));
        BOOST_TEST(contains(none.what(), "exactly one row was expected, and the result has 0"));
        auto two = co_await failure_of<mapping_error>(c.query_value<int>("select generate_series(1, 2)"));
        BOOST_TEST(contains(two.what(), "has 2"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(an_optional_row_may_be_missing_but_not_doubled)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto there = co_await c.query_optional<int>("select 7");
        BOOST_TEST(there.value() == 7);
        auto missing = co_await c.query_optional<int>("select 7 where false");
        BOOST_TEST(!missing.has_value());
        auto two = co_await failure_of<mapping_error>(c.query_optional<int>("select generate_series(1, 2)"));
        BOOST_TEST(contains(two.what(), "at most one row"));
        // Columns are looked at even where there is no row.
        auto wrong =
            co_await failure_of<mapping_error>(c.query_optional<int>("select 'x' as word where false"));
        BOOST_TEST(contains(wrong.what(), "word"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(execute_counts_the_rows_it_touched)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto made = co_await c.execute("create temp table t (n int)");
        BOOST_TEST(made == 0u);
        auto in = co_await c.execute("insert into t select generate_series(1, 10)");
        BOOST_TEST(in == 10u);
        auto changed = co_await c.execute("update t set n = n + 1 where n > $1", 7);
        BOOST_TEST(changed == 3u);
        auto gone = co_await c.execute("delete from t");
        BOOST_TEST(gone == 10u);
        auto r = co_await c.query("update t set n = 1");
        BOOST_TEST(r.command_tag() == "UPDATE 0");
        BOOST_TEST(r.size() == 0u);
    });
}

BOOST_AUTO_TEST_CASE(columns_are_found_by_name_and_position)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto r = co_await c.query(accounts);
        BOOST_TEST(r.size() == 2u);
        BOOST_TEST(r[0]["owner"].as<std::string>() == "ann");
        BOOST_TEST(r[1][0].as<int>() == 2);
        BOOST_TEST(r[1]["cents"].is_null());
        BOOST_TEST(r[1][2].name() == "cents");
        BOOST_TEST(r[0].size() == 3u);
        int sum = 0;
        for (auto row : r) sum += row["id"].as<int>();
        BOOST_TEST(sum == 3);
        BOOST_CHECK_EXCEPTION(r[0]["amount"], mapping_error, [](const mapping_error& e) {
            return contains(e.what(), "'amount'") && contains(e.what(), "id, owner, cents");
        });
        BOOST_CHECK_THROW(r[0][3], mapping_error);
        BOOST_CHECK_THROW(r[2], mapping_error);
        BOOST_CHECK_EXCEPTION(r[1]["cents"].as<int>(), mapping_error,
                              [](const mapping_error& e) { return contains(e.what(), "NULL"); });
    });
}

BOOST_AUTO_TEST_CASE(a_result_outlives_its_connection)
{
    pgcoro::result kept;
    with_connection([&](connection& c) -> asio::awaitable<void> {
        kept = co_await c.query("select 'still here' as word, 5");
        c.close();
    });
    BOOST_TEST(kept[0]["word"].as<std::string_view>() == "still here");
    BOOST_TEST(kept[0][1].as<int>() == 5);
}

BOOST_AUTO_TEST_CASE(a_column_of_another_type_is_refused_by_name)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto e = co_await failure_of<mapping_error>(c.query_as<int>("select 'x'::text as word"));
        BOOST_TEST(contains(e.what(), "word"));
        BOOST_TEST(contains(e.what(), "text"));
        BOOST_TEST(contains(e.what(), "int"));
        co_await check_usable(c);
        auto null = co_await failure_of<mapping_error>(c.query_as<int>("select null::int as number"));
        BOOST_TEST(contains(null.what(), "number"));
        BOOST_TEST(contains(null.what(), "NULL"));
        auto big = co_await failure_of<mapping_error>(c.query_as<int>("select 3000000000 as number"));
        BOOST_TEST(contains(big.what(), "3000000000"));
        auto few = co_await failure_of<mapping_error>(c.query_as<account>("select 1::bigint"));
        BOOST_TEST(contains(few.what(), "3"));
        auto names = co_await failure_of<mapping_error>(
            c.query_as<described_account>("select 1::bigint as id, 'x' as owner, 5 as amount"));
        BOOST_TEST(contains(names.what(), "cents"));
        BOOST_TEST(contains(names.what(), "amount"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_without_columns_or_text_is_no_error)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto r = co_await c.query("select");
        BOOST_TEST(r.size() == 1u);
        BOOST_TEST(r[0].size() == 0u);
        auto empty = co_await c.query("");
        BOOST_TEST(empty.empty());
        auto again = co_await c.query("");
        BOOST_TEST(again.empty());
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(several_statements_in_one_text_are_refused)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto e = co_await failure_of<server_error>(c.query("select 1; select 2"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42601"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_text_with_a_nul_is_refused)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        std::string_view sql("select 1 \0 + 1", 14);
        auto e = co_await failure_of<std::invalid_argument>(c.query(sql));
        BOOST_TEST(contains(e.what(), "NUL"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(copy_is_refused_clearly)
{
    for (auto* sql : {"copy (select 1) to stdout", "copy pg_temp.t from stdin"}) {
        auto options = shared_options();
        for (std::size_t cache : {0, 10}) {
            options.statement_cache_size = cache;
            with_connection(options, [&](connection& c) -> asio::awaitable<void> {
                co_await c.execute("create temp table t (n int)");
                auto e = co_await failure_of<std::logic_error>(c.query(sql));
                BOOST_TEST(contains(e.what(), "COPY"));
                if (cache == 0) { // not pipelined with its preparation: then COPY can be ended
                    co_await check_usable(c);
                    co_return;
                }
                BOOST_TEST(!c.is_open());
                auto after = co_await failure_of<pgcoro::connection_error>(c.query("select 1"));
                BOOST_TEST(after.why() == pgcoro::connection_failure::lost);
            });
        }
    }
}

BOOST_AUTO_TEST_CASE(transactions_are_told)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        BOOST_TEST(!c.in_transaction());
        co_await c.execute("begin");
        BOOST_TEST(c.in_transaction());
        co_await failure_of<server_error>(c.query("select 1/0"));
        BOOST_TEST(c.in_transaction());
        auto e = co_await failure_of<server_error>(c.query("select 1"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("25P02"));
        co_await c.execute("rollback");
        BOOST_TEST(!c.in_transaction());
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_notification_in_between_disturbs_nothing)
{
    with_connection([](connection& listener) -> asio::awaitable<void> {
        co_await listener.execute("listen news");
        for (int i = 0; i < 10; ++i) {
            shared_server().psql("notify news, 'extra'");
            co_await check_usable(listener);
            co_await listener.execute("notify news, 'own'");
            co_await listener.ping();
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
