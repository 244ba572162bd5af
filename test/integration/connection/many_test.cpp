// insert_many and its kin: a range of rows by one statement.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/types/types.hpp>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include <forward_list>

using pgcoro::connection;
using pgcoro::mapping_error;
using pgcoro::names;
using pgcoro::server_error;
using pgcoro::target;

namespace
{

enum class mood { sad, happy };
BOOST_DESCRIBE_ENUM(mood, sad, happy)

struct item
{
    std::int64_t id = 0;
    std::optional<std::string> name;
    bool sold = false;
    std::vector<int> sizes;
    mood feels = mood::sad;
    friend bool operator==(const item&, const item&) = default;
};
BOOST_DESCRIBE_STRUCT(item, (), (id, name, sold, sizes, feels))

std::vector<item> items(int n, std::string name)
{
    std::vector<item> made;
    for (int i = 1; i <= n; ++i) made.push_back({i, name + "{\",\\}", i % 2 == 0, {i, i + 1}, mood::happy});
    if (n > 1) made[1].name.reset();
    return made;
}

struct queries : pgcoro::observer
{
    void on_query(const pgcoro::query_event&) noexcept override { ++count; }
    int count = 0;
};

template <class Body>
void with_items(pgcoro::connection_options options, Body&& body)
{
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        co_await c.execute_script(
            "create type pg_temp.mood as enum ('sad', 'happy');"
            "create temp table items (feels mood, sizes int[], sold bool, name char(20), "
            "id int primary key check (id <> 13000));"
            "create temp table numbers (a int, b bigint)");
        co_await body(c);
        co_await check_usable(c);
    });
}
template <class Body>
void with_items(Body&& body)
{
    for (std::size_t cache : {0, 10}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        with_items(options, body);
    }
}

asio::awaitable<int> count_items(connection& c)
{
    auto n = co_await c.query_value<int>("select count(*)::int from items");
    co_return n;
}

} // namespace

BOOST_AUTO_TEST_SUITE(many_rows)

BOOST_AUTO_TEST_CASE(structs_are_inserted_whatever_their_members_types)
{
    with_items([](connection& c) -> asio::awaitable<void> {
        auto all = items(3, "x");
        auto n = co_await c.insert_many("items", all);
        BOOST_TEST(n == 3u);
        auto back = co_await c.query_as<item>(
            "select id, trim(name)::text as name, sold, sizes, feels from items order by id");
        BOOST_TEST((back == all));
    });
}

BOOST_AUTO_TEST_CASE(fixed_size_columns_need_one_round_trip_and_an_empty_range_none)
{
    queries seen;
    auto options = shared_options();
    options.observer = &seen;
    with_items(options, [&](connection& c) -> asio::awaitable<void> {
        seen.count = 0;
        std::vector<std::tuple<int, std::optional<std::int64_t>>> rows{{1, 2}, {3, std::nullopt}};
        auto n = co_await c.insert_many(target("numbers", names("a", "b")), rows);
        BOOST_TEST(n == 2u);
        BOOST_TEST(seen.count == 1);
        rows.clear();
        n = co_await c.insert_many(target("numbers", names("a", "b")), rows);
        BOOST_TEST(n == 0u);
        n = co_await c.insert_many("items", std::vector<item>());
        BOOST_TEST(n == 0u);
        BOOST_TEST(seen.count == 1);
    });
}

BOOST_AUTO_TEST_CASE(any_number_of_rows_goes_in_as_one_transaction)
{
    with_items([](connection& c) -> asio::awaitable<void> {
        auto all = items(20'000, "y");
        all[12'999].id = 30'000;
        auto n = co_await c.insert_many("items", all);
        BOOST_TEST(n == 20'000u);
        co_await c.execute("truncate items");
        all[12'999].id = 13'000;
        auto e = co_await failure_of<server_error>(c.insert_many("items", all)); // in the second chunk
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23514"));
        auto left = co_await count_items(c);
        BOOST_TEST(left == 0);
    });
}

BOOST_AUTO_TEST_CASE(rows_are_updated_by_their_keys)
{
    with_items([](connection& c) -> asio::awaitable<void> {
        co_await c.insert_many("items", items(5, "old"));
        auto changed = items(3, "new");
        changed.push_back({99, "nobody", false, {}, mood::sad});
        auto n = co_await c.update_many("items", names("id"), changed);
        BOOST_TEST(n == 3u);
        auto new_names =
            co_await c.query_value<int>("select count(*)::int from items where name like 'new%'");
        BOOST_TEST(new_names == 2);
        auto left = co_await c.query_value<int>("select count(*)::int from items where name like 'old%'");
        BOOST_TEST(left == 2); // ids 4 and 5: the new name of 2 is NULL
    });
}

BOOST_AUTO_TEST_CASE(rows_are_inserted_or_updated)
{
    with_items([](connection& c) -> asio::awaitable<void> {
        co_await c.insert_many("items", items(2, "old"));
        auto n = co_await c.upsert_many("items", names("id"), items(4, "new"));
        BOOST_TEST(n == 4u);
        auto new_names =
            co_await c.query_value<int>("select count(*)::int from items where name like 'new%'");
        BOOST_TEST(new_names == 3);
        std::vector<std::tuple<int>> keys_only{{1}, {50}};
        n = co_await c.upsert_many(target("items", names("id")), names("id"), keys_only);
        BOOST_TEST(n == 1u);
        std::forward_list<item> twice{{60, "x", false, {}, mood::sad}, {60, "y", false, {}, mood::sad}};
        auto e = co_await failure_of<server_error>(c.upsert_many("items", names("id"), twice));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("21000"));
        BOOST_TEST(!e.invalidates_connection());
    });
}

BOOST_AUTO_TEST_CASE(wrong_names_and_keys_are_told)
{
    with_items([](connection& c) -> asio::awaitable<void> {
        std::vector<std::tuple<int, int>> rows{{1, 2}};
        co_await failure_of<std::invalid_argument>(c.insert_many("numbers", rows)); // which columns?
        co_await failure_of<mapping_error>(c.insert_many(target("numbers", names("a")), rows));
        co_await failure_of<std::invalid_argument>(
            c.update_many(target("numbers", names("a", "b")), names(), rows));
        co_await failure_of<std::invalid_argument>(
            c.update_many(target("numbers", names("a", "b")), names("c"), rows));
        co_await failure_of<std::invalid_argument>(
            c.update_many(target("numbers", names("a", "b")), names("a", "b"), rows));
        auto e = co_await failure_of<server_error>(
            c.insert_many(target("numbers", names("a", "b\"); drop")), rows));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42703"));
        BOOST_CHECK_THROW(target("", names("a", "b")), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(a_value_that_cannot_be_sent_names_its_row_and_nothing_stays)
{
    with_items([](connection& c) -> asio::awaitable<void> {
        std::vector<std::tuple<std::uint64_t>> rows;
        for (std::uint64_t i = 0; i < 10'000; ++i) rows.push_back({i});
        std::get<0>(rows[9'000]) = ~std::uint64_t(0);
        auto e = co_await failure_of<mapping_error>(c.insert_many(target("numbers", names("b")), rows));
        BOOST_TEST_INFO(e.what());
        BOOST_TEST(contains(e.what(), "row 9001, column b: the value 18446744073709551615"));
        auto n = co_await c.query_value<int>("select count(*)::int from numbers");
        BOOST_TEST(n == 0);
    });
}

BOOST_AUTO_TEST_CASE(an_insert_of_many_is_given_up_at_any_point)
{
    cancel_everywhere(shared_options(), [](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table if not exists many (n int, text text)");
        std::vector<std::tuple<int, std::string>> rows(20'000, {1, "some text"});
        co_await c.insert_many(target("many", names("n", "text")), rows);
    });
}

BOOST_AUTO_TEST_SUITE_END()
