#include <pgcoro/types/scalars.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <random>

using namespace pgcoro;
using test::decode;
using test::encoded_hex;
using test::says;

namespace
{

// A type without codec can neither be read nor sent, also inside others.
struct unknown
{};
static_assert(!decodable<unknown> && !encodable<unknown>);
static_assert(!decodable<std::optional<unknown>> && !encodable<std::optional<unknown>>);
static_assert(!encodable<wchar_t>);

} // namespace

BOOST_AUTO_TEST_SUITE(scalars)

BOOST_AUTO_TEST_CASE(booleans_are_one_byte)
{
    BOOST_TEST(decode<bool>(oids::boolean, "01") == true);
    BOOST_TEST(decode<bool>(oids::boolean, "00") == false);
    BOOST_TEST(encoded_hex(true) == "01");
    BOOST_CHECK_THROW(decode<bool>(oids::boolean, ""), mapping_error);
    BOOST_CHECK_THROW(decode<bool>(oids::boolean, "0001"), mapping_error);
}

BOOST_AUTO_TEST_CASE(an_integer_is_sent_as_the_smallest_type_that_holds_its_type)
{
    BOOST_TEST(codec<std::int16_t>::type == oids::int2);
    BOOST_TEST(codec<std::uint8_t>::type == oids::int2);
    BOOST_TEST(codec<std::int32_t>::type == oids::int4);
    BOOST_TEST(codec<std::uint16_t>::type == oids::int4);
    BOOST_TEST(codec<std::int64_t>::type == oids::int8);
    BOOST_TEST(codec<std::uint32_t>::type == oids::int8);
    BOOST_TEST(codec<std::uint64_t>::type == oids::int8);
    BOOST_TEST(encoded_hex(std::int32_t{-2}) == "fffffffe");
    BOOST_TEST(encoded_hex(std::uint32_t{4294967295}) == "00000000ffffffff");
}

BOOST_AUTO_TEST_CASE(an_integer_is_read_from_any_integer_column_that_it_can_hold)
{
    BOOST_TEST(decode<int>(oids::int8, "ffffffffffffffff") == -1);
    BOOST_TEST(decode<std::int64_t>(oids::int2, "8000") == -32768);
    BOOST_TEST(decode<std::uint8_t>(oids::int4, "000000ff") == 255);
    BOOST_TEST(decode<std::uint32_t>(oids::oid_, "ffffffff") == 4294967295u);
    BOOST_TEST(decode<std::uint64_t>(oids::xid8, "004189374bc6a7ef") == 18446744073709551u);
}

BOOST_AUTO_TEST_CASE(an_integer_out_of_the_types_range_is_an_error_that_says_the_range)
{
    BOOST_CHECK_EXCEPTION(decode<int>(oids::int8, "0000000080000000"), mapping_error,
                          says("2147483648 is out of range -2147483648 to 2147483647"));
    BOOST_CHECK_THROW(decode<std::uint16_t>(oids::int2, "ffff"), mapping_error);
    BOOST_CHECK_THROW(decode<std::uint64_t>(oids::int8, "ffffffffffffffff"), mapping_error);
    BOOST_CHECK_THROW(decode<std::int64_t>(oids::xid8, "ffffffffffffffff"), mapping_error);
    BOOST_CHECK_EXCEPTION(test::encoded(std::uint64_t{1} << 63), mapping_error, says("bigint"));
}

BOOST_AUTO_TEST_CASE(an_integer_of_another_size_is_an_error)
{
    for (auto hex : {"", "01", "010203", "0102030405", "010203040506070809"})
        BOOST_CHECK_THROW(decode<std::int64_t>(oids::int8, hex), mapping_error);
}

BOOST_AUTO_TEST_CASE(random_integers_come_back)
{
    auto seed = std::random_device()();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 1000; ++i) {
        auto v = random() >> random() % 64;
        BOOST_TEST_INFO("seed " << seed);
        BOOST_TEST(test::round_trip(static_cast<std::int64_t>(v)) == static_cast<std::int64_t>(v));
        BOOST_TEST_INFO("seed " << seed);
        BOOST_TEST(test::round_trip(static_cast<std::int16_t>(v)) == static_cast<std::int16_t>(v));
        BOOST_TEST_INFO("seed " << seed);
        BOOST_TEST(test::round_trip(static_cast<std::uint32_t>(v)) == static_cast<std::uint32_t>(v));
    }
}

BOOST_AUTO_TEST_CASE(floating_point_keeps_every_bit)
{
    using limits = std::numeric_limits<double>;
    for (double v :
         {0.0, -0.0, 0.1, limits::infinity(), -limits::infinity(), limits::denorm_min(), limits::max()})
        BOOST_TEST(std::bit_cast<std::uint64_t>(test::round_trip(v)) == std::bit_cast<std::uint64_t>(v));
    BOOST_TEST(std::isnan(decode<double>(oids::float8, "7ff8000000000000")));
    BOOST_TEST(decode<float>(oids::float4, "00000001") == std::numeric_limits<float>::denorm_min());
    BOOST_TEST(encoded_hex(0.1f) == "3dcccccd");
}

BOOST_AUTO_TEST_CASE(a_float_is_not_read_from_a_double_column)
{
    BOOST_TEST(!codec<float>::accepts(oids::float8));
    BOOST_TEST(codec<double>::accepts(oids::float4));
    BOOST_CHECK_THROW(decode<float>(oids::float8, "3fb999999999999a"), mapping_error);
}

BOOST_AUTO_TEST_CASE(text_is_read_from_all_that_is_text)
{
    for (auto type : {oids::text, oids::varchar, oids::bpchar, oids::name, oids::json, oids::xml})
        BOOST_TEST(codec<std::string>::accepts(type));
    BOOST_TEST(!codec<std::string>::accepts(oids::int4));
    BOOST_TEST(!codec<std::string>::accepts(oids::bytea));
    BOOST_TEST(decode<std::string>(oids::text, "6772c3bcc39f65") == "gr\u00fc\u00dfe");
    BOOST_TEST(decode<std::string>(oids::jsonb, "015b5d") == "[]");
    BOOST_CHECK_THROW(decode<std::string>(oids::jsonb, "025b5d"), mapping_error);
    BOOST_CHECK_THROW(decode<std::string>(oids::jsonb, ""), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_users_type_is_text_only_when_its_bytes_are)
{
    auto enum_oid = oids::first_user_defined + 1;
    BOOST_TEST(decode<std::string>(enum_oid, "6861707079") == "happy");
    BOOST_CHECK_EXCEPTION(decode<std::string>(enum_oid, "0000000200000019"), mapping_error,
                          says("cast it to text"));
    BOOST_CHECK_THROW(decode<std::string>(enum_oid, "c328"), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_nul_in_text_is_an_error_that_says_where)
{
    BOOST_CHECK_EXCEPTION(test::encoded(std::string("ab\0c", 4)), mapping_error, says("at byte 2"));
}

BOOST_AUTO_TEST_CASE(a_char_is_text_of_one_byte)
{
    BOOST_TEST(decode<char>(oids::char_, "61") == 'a');
    BOOST_TEST(decode<char>(oids::bpchar, "62") == 'b');
    BOOST_CHECK_THROW(decode<char>(oids::text, "6162"), mapping_error);
    BOOST_CHECK_THROW(decode<char>(oids::text, ""), mapping_error);
    BOOST_TEST(test::encoded('x') == "x");
    BOOST_CHECK_THROW(test::encoded('\0'), mapping_error);
}

BOOST_AUTO_TEST_CASE(bytea_keeps_every_byte)
{
    std::vector<std::byte> all;
    for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::byte>(i));
    BOOST_TEST((test::round_trip(all) == all));
    BOOST_TEST(decode<std::vector<std::byte>>(oids::bytea, "").empty());
}

BOOST_AUTO_TEST_CASE(optional_is_null_or_the_value)
{
    BOOST_TEST((codec<std::optional<int>>::decode({nullptr, -1, oids::int4}) == std::nullopt));
    BOOST_TEST((decode<std::optional<int>>(oids::int4, "00000007") == 7));
    BOOST_TEST(codec<std::optional<int>>::accepts(oids::int8));
    BOOST_TEST(!codec<std::optional<int>>::accepts(oids::text));
}

BOOST_AUTO_TEST_SUITE_END()
