// Parameters: what goes in comes out, few or many, small or large.
#include "integration/connection/support.hpp"

using pgcoro::connection;
using pgcoro::mapping_error;
using pgcoro::server_error;

namespace
{

template <class T>
asio::awaitable<void> check_echo(connection& c, const char* sql, T value)
{
    auto back = co_await c.query_value<T>(sql, value);
    BOOST_TEST((back == value), sql);
}

} // namespace

BOOST_AUTO_TEST_SUITE(parameters)

BOOST_AUTO_TEST_CASE(scalars_come_back_as_they_went)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await check_echo(c, "select $1::bool", true);
        co_await check_echo<std::int16_t>(c, "select $1::int2", -32768);
        co_await check_echo(c, "select $1::int4", 2147483647);
        co_await check_echo<std::int64_t>(c, "select $1::int8", INT64_MIN);
        co_await check_echo(c, "select $1::float8", 0.1);
        co_await check_echo(c, "select $1::float4", 1.5f);
        co_await check_echo<std::string>(c, "select $1::text", "grün 'quoted' \\ \"x\" \n");
        co_await check_echo<std::string>(c, "select $1::varchar", "");
        std::vector<std::byte> bytes{std::byte(0), std::byte(255), std::byte(0)};
        co_await check_echo(c, "select $1::bytea", bytes);
        co_await check_echo<std::optional<int>>(c, "select $1::int4", std::nullopt);
        co_await check_echo<std::optional<int>>(c, "select $1::int4", 5);
    });
}

BOOST_AUTO_TEST_CASE(a_string_is_of_whatever_type_the_statement_wants)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto year = co_await c.query_value<int>("select extract(year from $1::date)::int", "1999-12-31");
        BOOST_TEST(year == 1999);
        auto e = co_await failure_of<server_error>(
            c.query_value<int>("select extract(year from $1::date)::int", "yesteryear"));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22007"));
        auto null = co_await c.query_value<bool>("select $1::date is null", nullptr);
        BOOST_TEST(null);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(too_few_parameters_are_an_error_that_leaves_the_connection_usable)
{
    auto options = shared_options();
    for (std::size_t cache : {0, 10}) {
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            auto e = co_await failure_of<server_error>(c.query("select $1::int + $2::int", 1));
            BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("08P01"));
            BOOST_TEST(contains(e.what(), "1 parameters"));
            BOOST_TEST(!e.invalidates_connection());
            BOOST_TEST(!e.is_transient());
            co_await check_usable(c);
            auto none = co_await failure_of<server_error>(c.query("select $1::int"));
            BOOST_TEST(!none.invalidates_connection());
            co_await check_usable(c);
        });
    }
}

BOOST_AUTO_TEST_CASE(too_many_parameters_are_an_error_that_leaves_the_connection_usable)
{
    auto options = shared_options();
    for (std::size_t cache : {0, 10}) {
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            for (int again = 0; again < 2; ++again) {
                auto e = co_await failure_of<std::invalid_argument>(c.query("select $1::int", 1, 2));
                BOOST_TEST(contains(e.what(), "2 parameters"));
                BOOST_TEST(contains(e.what(), "$1"));
                auto none = co_await failure_of<std::invalid_argument>(c.query("select 1", 1));
                BOOST_TEST(contains(none.what(), "1 parameter"));
            }
            co_await check_usable(c);
        });
    }
}

BOOST_AUTO_TEST_CASE(a_value_that_its_type_cannot_hold_is_refused_by_number)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto text = std::string("a\0b", 3);
        BOOST_CHECK_EXCEPTION((void)c.query("select $1::int, $2::text", 1, text), mapping_error,
                              [](const mapping_error& e) { return contains(e.what(), "$2"); });
        auto big = std::uint64_t(1) << 63;
        BOOST_CHECK_EXCEPTION(
            (void)c.query("select $1::int8", big), mapping_error, [](const mapping_error& e) {
                return contains(e.what(), "$1") && contains(e.what(), "9223372036854775808");
            });
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(as_many_parameters_as_the_protocol_can_carry_go_through)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        // The server has a limit of its own for an array's elements in the text: so they are spread.
        std::string sql = "select 0";
        pgcoro::params args;
        for (int i = 1; i <= 65'535; ++i) {
            if (i % 1000 == 1) sql += i > 1 ? "])" : "", sql += " + cardinality(array[";
            sql.append(i % 1000 == 1 ? "$" : ",$").append(std::to_string(i));
            args.add(i);
        }
        sql += "])";
        for (int again = 0; again < 2; ++again) {
            auto r = co_await c.run(sql, args);
            BOOST_TEST(r[0][0].as<int>() == 65'535);
        }
        BOOST_CHECK_EXCEPTION(args.add(1), mapping_error, [](const mapping_error& e) {
            return contains(e.what(), "65535") || contains(e.what(), "65,535");
        });
    });
}

BOOST_AUTO_TEST_CASE(large_values_go_both_ways)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        std::string large(10'000'000, 'x');
        auto length = co_await c.query_value<int>("select length($1::text)", large);
        BOOST_TEST(length == 10'000'000);
        auto r = co_await c.query("select repeat($1, 1000), n from generate_series(1, 50000) n", "x");
        BOOST_TEST(r.size() == 50'000u);
        BOOST_TEST(r[49'999][0].bytes().size() == 1000u);
        auto back = co_await c.query_value<std::string>("select $1::text", large);
        BOOST_TEST((back == large));
    });
}

BOOST_AUTO_TEST_CASE(an_answer_may_begin_before_the_request_is_sent)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        // The server stops reading once nobody takes what it writes: prepare, and its error, come back
        // while megabytes of parameters are still to go.
        std::string large(30'000'000, 'x');
        auto e = co_await failure_of<server_error>(c.query("select nonsense($1::text)", large));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42883"));
        co_await check_usable(c);
        auto notices = co_await c.query_value<int>("select length($1::text)", large);
        BOOST_TEST(notices == 30'000'000);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_SUITE_END()
