#include "integration/connection/support.hpp"

#include <pgcoro/types/json.hpp>
#include <pgcoro/types/literal.hpp>
#include <pgcoro/types/multiprecision.hpp>
#include <pgcoro/types/network.hpp>
#include <pgcoro/types/types.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/uuid/random_generator.hpp>

#include <cmath>
#include <random>

using namespace pgcoro;
using namespace std::chrono;

namespace
{

using timestamp = sys_time<microseconds>;
using local_timestamp = local_time<microseconds>;

template <class T>
std::string encoded(const T& value)
{
    encoder::buffer bytes;
    encoder out(bytes);
    codec<T>::encode(value, out);
    return {bytes.begin(), bytes.end()};
}

// The layer's own text of a value.
template <class T>
std::string text_of(const T& value)
{
    std::string text;
    detail::append_text_of(value, text);
    return text;
}

enum class text_is { the_servers, another };

// Sends values one by one and as an array; what comes back must be the same, the server must print them as
// append_text does, and must read what that printed as the same values.
template <class T>
asio::awaitable<void> check(connection& conn, std::string type, std::vector<T> values,
                            text_is wanted = text_is::the_servers)
{
    auto one = "select $1::" + type + ", format('%s', $1::" + type + ")";
    for (const T& value : values) {
        auto row = co_await conn.query_value<std::tuple<T, std::string>>(one, value);
        auto& [back, text] = row;
        BOOST_TEST_INFO(type << " " << text);
        BOOST_TEST((encoded(back) == encoded(value)));
        auto own = text_of(value);
        if (wanted == text_is::the_servers) BOOST_TEST(own == text);
        auto read = co_await conn.query_value<T>("select $1::text::" + type, own);
        BOOST_TEST_INFO(type << " read from " << own);
        BOOST_TEST((encoded(read) == encoded(value)));
    }
    auto all = co_await conn.query_value<std::vector<T>>("select $1::" + type + "[]", values);
    BOOST_TEST_INFO(type << "[]");
    BOOST_TEST((encoded(all) == encoded(values)));
}

template <class T>
void round_trips(const std::string& type, const std::vector<T>& values, text_is wanted = text_is::the_servers)
{
    with_connection([&](connection& conn) -> asio::awaitable<void> {
        co_await conn.execute("set timezone to 'UTC'");
        co_await check(conn, type, values, wanted);
    });
}

// What random values are made from; a failure tells the seed.
struct seeded
{
    unsigned seed = std::random_device()();
    std::mt19937_64 random{seed};

    std::uint64_t operator()() { return random(); }
    std::int64_t between(std::int64_t least, std::int64_t most)
    {
        return std::uniform_int_distribution<std::int64_t>(least, most)(random);
    }
};

template <class T, class Make>
std::vector<T> with_random(std::vector<T> values, Make&& make)
{
    seeded random;
    BOOST_TEST_MESSAGE(test_name() << ": seed " << random.seed);
    for (int i = 0; i < 20; ++i) values.push_back(make(random));
    return values;
}

template <class T>
std::vector<T> integers()
{
    using limits = std::numeric_limits<T>;
    return with_random<T>({limits::min(), -1, 0, 1, limits::max()},
                          [](seeded& random) { return static_cast<T>(random()); });
}

template <class T>
std::vector<T> floats()
{
    using limits = std::numeric_limits<T>;
    using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    return with_random<T>({T(0), T(-0.0), T(0.1), limits::infinity(), -limits::infinity(),
                           limits::denorm_min(), limits::min(), limits::max(), limits::quiet_NaN()},
                          [](seeded& random) {
                              auto v = std::bit_cast<T>(static_cast<bits>(random()));
                              return std::isnan(v) ? T(1) : v; // NaNs of other bits come back as the one NaN
                          });
}

numeric random_numeric(seeded& random)
{
    std::string text = random() % 2 == 0 ? "-" : "";
    for (auto n = 1 + random() % 60; n > 0; --n) text += static_cast<char>('0' + random() % 10);
    text += '.';
    for (auto n = random() % 40; n > 0; --n) text += static_cast<char>('0' + random() % 10);
    return numeric(std::string_view(text));
}

std::string random_text(seeded& random)
{
    static constexpr std::string_view parts[] = {"a", " ",    "\"",       "\\",           "{",
                                                 "}", ",",    "'",        "\n",           "(",
                                                 ")", "NULL", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x90\x98",
                                                 "[", "]",    "\x01"};
    std::string text;
    for (auto n = random() % 12; n > 0; --n) text += parts[random() % std::size(parts)];
    return text;
}

timestamp random_timestamp(seeded& random)
{
    return timestamp(microseconds(random.between(-210'866'803'200'000'000, 9'000'000'000'000'000'000)));
}

} // namespace

BOOST_AUTO_TEST_SUITE(types_round_trip)

BOOST_AUTO_TEST_CASE(boolean) { round_trips<bool>("boolean", {true, false}); }

BOOST_AUTO_TEST_CASE(smallint) { round_trips("smallint", integers<std::int16_t>()); }

BOOST_AUTO_TEST_CASE(integer) { round_trips("integer", integers<std::int32_t>()); }

BOOST_AUTO_TEST_CASE(bigint) { round_trips("bigint", integers<std::int64_t>()); }

BOOST_AUTO_TEST_CASE(unsigned_integers)
{
    round_trips<std::uint8_t>("smallint", {0, 255});
    round_trips<std::uint16_t>("integer", {0, 65535});
    round_trips<std::uint32_t>("bigint", {0, 4294967295});
    round_trips<std::uint64_t>("bigint", {0, std::uint64_t(std::numeric_limits<std::int64_t>::max())});
}

BOOST_AUTO_TEST_CASE(real) { round_trips("real", floats<float>(), text_is::another); }

BOOST_AUTO_TEST_CASE(double_precision)
{
    round_trips("double precision", floats<double>(), text_is::another);
}

BOOST_AUTO_TEST_CASE(numeric_)
{
    std::vector<numeric> edges;
    for (auto text : {"0", "0.00", "1.50", "-1.50", "10000", "9999.9999", "0.0001", "0.00001", "1e100", "NaN",
                      "Infinity", "-Infinity", "1e-16383", "-1e131071"})
        edges.emplace_back(std::string_view(text));
    round_trips("numeric", with_random(edges, random_numeric));
}

BOOST_AUTO_TEST_CASE(numeric_as_multiprecision)
{
    using boost::multiprecision::cpp_dec_float_50;
    round_trips<cpp_dec_float_50>("numeric", {cpp_dec_float_50("1.5"), cpp_dec_float_50("-1e-30")});
    round_trips<boost::multiprecision::cpp_int>("numeric", {boost::multiprecision::cpp_int(1) << 300});
}

BOOST_AUTO_TEST_CASE(text_of_all_kinds)
{
    auto values =
        with_random<std::string>({"", "NULL", "plain", "a,b", " both ends ", "\\", "\"", "{}"}, random_text);
    for (auto type : {"text", "varchar", "varchar(60)", "citext"}) {
        if (type == std::string_view("citext")) {
            with_connection([&](connection& conn) -> asio::awaitable<void> {
                co_await conn.execute("create extension if not exists citext");
            });
        }
        round_trips(type, values);
    }
    round_trips<std::string>("name", {"", "pg_class"});
    round_trips<std::string>("char(4)", {"abcd", "a   "});
}

BOOST_AUTO_TEST_CASE(bytea)
{
    std::vector<std::byte> all;
    for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::byte>(i));
    round_trips<std::vector<std::byte>>("bytea", {{}, all});
}

BOOST_AUTO_TEST_CASE(date)
{
    round_trips("date",
                with_random<sys_days>({sys_days(-4713y / November / 24), sys_days(1970y / January / 1),
                                       sys_days(2024y / February / 29), sys_days(days(2145042905))},
                                      [](seeded& random) { return floor<days>(random_timestamp(random)); }));
    round_trips<year_month_day>("date", {1y / January / 1, 0y / December / 31, 32767y / December / 31});
    using infinite = or_infinity<sys_days>;
    round_trips<infinite>("date", {infinite::positive(), infinite::negative(), {sys_days()}});
}

BOOST_AUTO_TEST_CASE(time_of_day)
{
    using time = hh_mm_ss<microseconds>;
    round_trips<time>("time", {time(0us), time(1us), time(24h - 1us), time(24h)});
}

BOOST_AUTO_TEST_CASE(time_of_day_with_zone)
{
    round_trips<time_tz>(
        "timetz", {{0us, 0s}, {24h, 0s}, {1us, 15h + 59min + 59s}, {12h, -(15h + 59min)}, {0us, 90min}});
}

BOOST_AUTO_TEST_CASE(timestamp_with_time_zone)
{
    round_trips("timestamptz",
                with_random<timestamp>({timestamp(), timestamp(-1us), sys_days(2000y / January / 1),
                                        sys_days(-4713y / November / 24), timestamp::max()},
                                       random_timestamp));
    using infinite = or_infinity<timestamp>;
    round_trips<infinite>("timestamptz", {infinite::positive(), infinite::negative(), {timestamp()}});
}

BOOST_AUTO_TEST_CASE(timestamp_without_time_zone)
{
    round_trips("timestamp",
                with_random<local_timestamp>({local_timestamp(), local_timestamp::max()}, [](seeded& random) {
                    auto since = random_timestamp(random).time_since_epoch();
                    return local_timestamp(since);
                }));
}

BOOST_AUTO_TEST_CASE(intervals)
{
    round_trips("interval", with_random<interval>(
                                {{},
                                 {0, 0, -1us},
                                 {-14, 3, -1s},
                                 {14, -3, 1s},
                                 {1, 1, 0us},
                                 {-1, -1, 24h},
                                 {0, 0, 1000h},
                                 {2147483647, 0, 0us},
                                 {0, -2147483647, 0us}},
                                [](seeded& random) {
                                    return interval{static_cast<std::int32_t>(random.between(-99999, 99999)),
                                                    static_cast<std::int32_t>(random.between(-99999, 99999)),
                                                    microseconds(random.between(-1e15, 1e15))};
                                }));
    round_trips<milliseconds>("interval", {0ms, -1ms, 36h});
}

BOOST_AUTO_TEST_CASE(uuid)
{
    boost::uuids::random_generator make;
    round_trips<boost::uuids::uuid>("uuid", {boost::uuids::uuid{}, make(), make()});
}

BOOST_AUTO_TEST_CASE(json_and_jsonb)
{
    std::vector<boost::json::value> values{nullptr, true, 1.5, "text \" \\ \n",
                                           boost::json::parse(R"({"a":[1,{}]})")};
    with_connection([&](connection& conn) -> asio::awaitable<void> {
        for (const auto& value : values)
            for (std::string type : {"json", "jsonb"}) {
                auto back = co_await conn.query_value<boost::json::value>("select $1::" + type, value);
                BOOST_TEST((back == value));
            }
        auto all = co_await conn.query_value<std::vector<boost::json::value>>("select $1::jsonb[]", values);
        BOOST_TEST((all == values));
    });
}

BOOST_AUTO_TEST_CASE(network_addresses)
{
    using boost::asio::ip::make_address;
    round_trips<inet>("inet", {{make_address("0.0.0.0"), 0},
                               {make_address("192.168.1.5"), 32},
                               {make_address("192.168.1.5"), 24},
                               {make_address("2001:db8::1"), 64},
                               {make_address("::1"), 128}});
    round_trips<cidr>("cidr", {{make_address("10.0.0.0"), 8}, {make_address("2001:db8::"), 32}});
    round_trips<boost::asio::ip::address>("inet", {make_address("127.0.0.1"), make_address("fe80::1")});
    round_trips<macaddr>("macaddr", {{}, {{1, 2, 3, 0xfd, 0xfe, 0xff}}});
    round_trips<macaddr8>("macaddr8", {{}, {{1, 2, 3, 4, 0xfc, 0xfd, 0xfe, 0xff}}});
}

BOOST_AUTO_TEST_CASE(bit_strings)
{
    round_trips<bit_string>("varbit",
                            {{}, {{true}}, {{true, false, true, true, false, false, true, true, true}}});
    round_trips<std::bitset<12>>("bit(12)", {std::bitset<12>(), std::bitset<12>(0xa5b)});
}

BOOST_AUTO_TEST_CASE(ranges)
{
    using ints = range<std::int32_t>;
    round_trips<ints>("int4range", {{1, 10}, {{}, 5, false}, {5, {}}, ints::empty(), {{}, {}, false}});
    using numbers = range<numeric>;
    round_trips<numbers>("numrange", {{numeric("1.5"), numeric("2.50"), false, true}, {numeric("NaN"), {}}});
    round_trips<range<sys_days>>("daterange",
                                 {{sys_days(2024y / January / 1), sys_days(2024y / February / 1)}});
    round_trips<range<timestamp>>("tstzrange", {{timestamp(), timestamp(1us), true, true}});
    using many = multirange<std::int64_t>;
    round_trips<many>("int8multirange", {{}, {{{1, 3}, {5, {}}}}});
}

BOOST_AUTO_TEST_CASE(arrays_of_several_dimensions_and_with_nulls)
{
    with_connection([&](connection& conn) -> asio::awaitable<void> {
        using cube = std::vector<std::vector<std::vector<std::optional<std::int64_t>>>>;
        cube values{{{1, std::nullopt}, {3, 4}}, {{5, 6}, {7, 8}}};
        auto back = co_await conn.query_value<cube>("select $1::bigint[]", values);
        BOOST_TEST((back == values));

        using words = std::vector<std::vector<std::optional<std::string>>>;
        words texts{{"a", std::nullopt, ""}, {"NULL", "\\", "\""}};
        auto read = co_await conn.query_value<words>("select $1::text[]", texts);
        BOOST_TEST((read == texts));

        auto from_3 = co_await conn.query_value<std::vector<int>>("select '[3:4]={7,8}'::int[]");
        BOOST_TEST((from_3 == std::vector<int>{7, 8}));
        auto vector = co_await conn.query_value<std::vector<int>>("select '1 2'::int2vector");
        BOOST_TEST((vector == std::vector<int>{1, 2}));

        std::vector<int> wanted{2, 4};
        auto found = co_await conn.query_value<int>(
            "select count(*)::int from generate_series(1, 5) n where n = any($1)", wanted);
        BOOST_TEST(found == 2);
    });
}

BOOST_AUTO_TEST_CASE(hstore_when_installed)
{
    with_connection([&](connection& conn) -> asio::awaitable<void> {
        auto installed = co_await conn.query_value<bool>(
            "select exists (select from pg_available_extensions where name = 'hstore')");
        if (!installed) {
            BOOST_TEST_MESSAGE("no hstore on this server");
            co_return;
        }
        co_await conn.execute("create extension if not exists hstore");
        hstore value{{"a", "1"}, {"b c", std::nullopt}, {"q\"t", "\\"}, {"", ""}};
        auto back = co_await conn.query_value<hstore>("select $1::hstore", value);
        BOOST_TEST((back == value));
    });
}

BOOST_AUTO_TEST_CASE(a_value_of_an_unknown_type_is_passed_on_untouched)
{
    with_connection([&](connection& conn) -> asio::awaitable<void> {
        auto point = co_await conn.query_value<raw>("select '(1.5,-2)'::point");
        BOOST_TEST(point.type == 600u);
        auto text = co_await conn.query_value<std::string>("select $1::text", point);
        BOOST_TEST(text == "(1.5,-2)");
    });
}

BOOST_AUTO_TEST_SUITE_END()
