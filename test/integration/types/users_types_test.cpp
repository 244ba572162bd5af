#include "integration/connection/support.hpp"

#include <pgcoro/types/json.hpp>
#include <pgcoro/types/types.hpp>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>

using namespace pgcoro;

namespace
{

enum class mood { sad, ok, happy };
BOOST_DESCRIBE_ENUM(mood, sad, ok, happy)

struct address
{
    std::string street;
    std::optional<std::int64_t> number;
    friend bool operator==(const address&, const address&) = default;
};

struct person
{
    std::string name;
    mood feels = mood::ok;
    std::vector<address> homes;
    std::optional<std::chrono::sys_days> born;
    friend bool operator==(const person&, const person&) = default;
};
BOOST_DESCRIBE_STRUCT(person, (), (name, feels, homes, born))

struct settings
{
    std::string colour;
    std::optional<int> size;
    friend bool operator==(const settings&, const settings&) = default;
};
BOOST_DESCRIBE_STRUCT(settings, (), (colour, size))

// Types of the session's own, gone with it.
asio::awaitable<void> create_types(connection& conn)
{
    co_await conn.execute("create type pg_temp.mood as enum ('sad', 'ok', 'happy')");
    co_await conn.execute("create domain pg_temp.positive as bigint check (value > 0)");
    co_await conn.execute("create type pg_temp.address as (street varchar(40), number pg_temp.positive)");
    co_await conn.execute(
        "create type pg_temp.person as (name text, feels pg_temp.mood, homes pg_temp.address[], "
        "born date)");
    co_await conn.execute("create type pg_temp.floatrange as range (subtype = float8)");
}

template <class Body>
void with_types(Body&& body)
{
    with_connection([&](connection& conn) -> asio::awaitable<void> {
        co_await create_types(conn);
        co_await body(conn);
    });
}

} // namespace

template <>
inline constexpr bool pgcoro::is_composite<address> = true;
template <>
inline constexpr bool pgcoro::is_composite<person> = true;
template <>
inline constexpr bool pgcoro::is_json<settings> = true;

BOOST_AUTO_TEST_SUITE(users_types)

BOOST_AUTO_TEST_CASE(an_enum_and_an_array_of_it_come_back)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        auto one = co_await conn.query_value<mood>("select $1::pg_temp.mood", mood::happy);
        BOOST_CHECK(one == mood::happy);
        std::vector<std::optional<mood>> values{mood::sad, std::nullopt, mood::ok};
        auto many =
            co_await conn.query_value<std::vector<std::optional<mood>>>("select $1::pg_temp.mood[]", values);
        BOOST_CHECK(many == values);
    });
}

BOOST_AUTO_TEST_CASE(composites_in_arrays_in_composites_come_back)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        person neo{"N \"eo\", (the) \\one\\",
                   mood::happy,
                   {{"Main, St \"1\"", 5}, {"", std::nullopt}},
                   std::chrono::sys_days(std::chrono::days(-3000))};
        auto back = co_await conn.query_value<person>("select $1::pg_temp.person", neo);
        BOOST_TEST((back == neo));
        std::vector<person> both{neo, {"trinity", mood::ok, {}, std::nullopt}};
        auto all = co_await conn.query_value<std::vector<person>>("select $1::pg_temp.person[]", both);
        BOOST_TEST((all == both));
    });
}

BOOST_AUTO_TEST_CASE(a_record_is_a_tuple_and_an_array_of_records_a_vector_of_them)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        using pair = std::tuple<int, std::optional<std::string>>;
        using pairs = std::vector<pair>;
        auto got = co_await conn.query_value<pairs>("select array[row(1, 'one'::text), row(2, null::text)]");
        BOOST_TEST((got == pairs{{1, "one"}, {2, std::nullopt}}));
    });
}

BOOST_AUTO_TEST_CASE(a_domain_is_its_base_also_in_an_array)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        auto one = co_await conn.query_value<int>("select 7::pg_temp.positive");
        BOOST_TEST(one == 7);
        auto many = co_await conn.query_value<std::vector<int>>("select array[7, 8]::pg_temp.positive[]");
        BOOST_TEST((many == std::vector<int>{7, 8}));
    });
}

BOOST_AUTO_TEST_CASE(a_range_of_a_users_type_comes_back)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        range<double> value{0.5, {}};
        auto back = co_await conn.query_value<range<double>>("select $1::pg_temp.floatrange", value);
        BOOST_TEST((back == value));
    });
}

BOOST_AUTO_TEST_CASE(a_struct_is_stored_as_json)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        settings value{"blue", std::nullopt};
        auto back = co_await conn.query_value<settings>("select $1::jsonb || '{\"new\": true}'", value);
        BOOST_TEST((back == value));
        co_await conn.execute("create temp table preferences (value json)");
        co_await conn.execute("insert into preferences values ($1)", value);
        auto stored = co_await conn.query_value<settings>("select value from preferences");
        BOOST_TEST((stored == value));
    });
}

BOOST_AUTO_TEST_CASE(a_row_as_json_is_what_the_server_makes_of_it)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        constexpr std::string_view columns =
            "1 as i, 2::bigint as b, true as t, null::int as n, 'x'::text as s, 0.1::real as r, 0.5::float8 "
            "as f, "
            "array[[1,2],[3,null]] as a, '{\"k\": [1]}'::jsonb as j, '[1,5)'::int4range as g, "
            "timestamp '2024-02-29 12:00:00.5' as ts, date '2024-02-29' as d, interval '1 day 2 hours' as "
            "iv, "
            "'10.0.0.0/8'::cidr as c, '\\x00ff'::bytea as by, 'happy'::pg_temp.mood as m, row(1, 'a'::text) "
            "as rec, "
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as u, array['{}'::json] as js";
        auto own = co_await conn.query("select " + std::string(columns));
        auto servers = co_await conn.query_value<boost::json::value>("select to_jsonb(x) from (select " +
                                                                     std::string(columns) + ") x");
        auto list = own.columns();
        auto first = own[0];
        auto made = to_json(list, [&](std::size_t i) -> field_view {
            auto f = first[i];
            return {f.bytes().data(), f.is_null() ? -1 : static_cast<int>(f.bytes().size()), f.type()};
        });
        BOOST_TEST((made == servers));
    });
}

BOOST_AUTO_TEST_CASE(bad_input_is_a_clear_error_and_the_connection_stays_usable)
{
    with_types([&](connection& conn) -> asio::awaitable<void> {
        auto mapping = [&](auto operation, std::string_view part) -> asio::awaitable<void> {
            auto e = co_await failure_of<mapping_error>(std::move(operation));
            BOOST_TEST_INFO(e.what());
            BOOST_TEST(contains(e.what(), part));
        };
        co_await mapping(conn.query_value<std::vector<int>>("select '{{1},{2}}'::int[]"),
                         "2 dimensions, not of 1");
        co_await mapping(conn.query_value<std::vector<int>>("select '{1,null}'::int[]"), "element 2: NULL");
        co_await mapping(conn.query_value<mood>("select 'glad'"), "\"glad\" is no enumerator");
        co_await mapping(conn.query_value<std::chrono::sys_days>("select 'infinity'::date"), "infinite");
        co_await mapping(conn.query_value<address>("select row(1, 2)"), "attribute 1: integer does not fit");
        co_await mapping(conn.query_value<settings>("select '{}'::json"), "member \"colour\": it is missing");
        co_await mapping(conn.query_value<std::string>("select row(1, 2)::pg_temp.address"),
                         "cast it to text");

        auto unsent = [](auto&& begin, std::string_view part) {
            BOOST_CHECK_EXCEPTION(begin(), mapping_error, [&](const mapping_error& e) {
                BOOST_TEST_INFO(e.what());
                return contains(e.what(), "parameter $1") && contains(e.what(), part);
            });
        };
        std::vector<std::vector<int>> ragged{{1, 2}, {3}};
        std::vector<std::vector<std::string>> ragged_text{{"a"}, {}};
        std::vector<std::string> with_nul{"a", std::string("b\0c", 3)};
        unsent([&] { (void)conn.execute("select $1::int[]", ragged); }, "differ in length");
        unsent([&] { (void)conn.execute("select $1::text[]", ragged_text); }, "differ in length");
        unsent([&] { (void)conn.execute("select $1::text[]", with_nul); }, "NUL");

        // What only the server can know.
        auto refused = [&](auto operation, const char* code) -> asio::awaitable<void> {
            auto e = co_await failure_of<server_error>(std::move(operation));
            BOOST_TEST_INFO(e.what());
            BOOST_TEST(e.sqlstate().str() == code);
            co_await check_usable(conn);
        };
        std::string no_utf8 = "\xff";
        std::vector<std::string> no_utf8_element{"fine", no_utf8};
        co_await refused(conn.query("select $1::text", no_utf8), "22021");
        co_await refused(conn.query("select $1::text[]", no_utf8_element), "22021");
        co_await conn.execute("create temp table squares (v int[] check (array_ndims(v) = 2))");
        std::vector<int> flat{1, 2};
        co_await refused(conn.execute("insert into squares values ($1)", flat), "23514");
        std::vector<bool> booleans{true};
        co_await refused(conn.execute("insert into squares values ($1)", booleans), "42804");
    });
}

BOOST_AUTO_TEST_SUITE_END()
