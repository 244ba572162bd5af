#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/chrono.hpp>
#include <pgcoro/types/numeric.hpp>
#include <pgcoro/types/ranges.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using namespace std::chrono;
using test::decode;
using test::encoded_hex;
using test::says;

namespace
{

using int_range = range<std::int32_t>;
using int_ranges = multirange<std::int64_t>;

} // namespace

BOOST_AUTO_TEST_SUITE(ranges)

BOOST_AUTO_TEST_CASE(a_range_has_bounds_or_none)
{
    BOOST_TEST(
        (decode<int_range>(oids::int4range, "020000000400000001000000040000000a") == int_range{1, 10}));
    BOOST_TEST((decode<int_range>(oids::int4range, "080000000400000005") == int_range{{}, 5}));
    BOOST_TEST((decode<int_range>(oids::int4range, "18") == int_range{}));
    BOOST_TEST(decode<int_range>(oids::int4range, "01").is_empty);
    auto exclusive = decode<range<numeric>>(
        oids::numrange, "040000000c0002000000000001000113880000000c000200000000000200021388"); // (1.5,2.50]
    BOOST_TEST((exclusive == range<numeric>{numeric("1.5"), numeric("2.5"), false, true}));
}

BOOST_AUTO_TEST_CASE(a_range_is_sent_as_the_server_has_it)
{
    BOOST_TEST(encoded_hex(int_range{1, 10}) == "020000000400000001000000040000000a");
    BOOST_TEST(encoded_hex(int_range{{}, 5}) == "080000000400000005");
    BOOST_TEST(encoded_hex(int_range{}) == "18");
    BOOST_TEST(encoded_hex(int_range::empty()) == "01");
    BOOST_TEST(codec<int_range>::type == oids::int4range);
    BOOST_TEST(codec<range<sys_days>>::type == oids::daterange);
    BOOST_TEST(codec<range<local_time<microseconds>>>::type == oids::tsrange);
}

BOOST_AUTO_TEST_CASE(a_range_contains_what_is_within_its_bounds)
{
    int_range half_open{1, 10};
    BOOST_TEST(half_open.contains(1));
    BOOST_TEST(half_open.contains(9));
    BOOST_TEST(!half_open.contains(10));
    BOOST_TEST(!half_open.contains(0));
    int_range other_half{1, 10, false, true};
    BOOST_TEST(!other_half.contains(1));
    BOOST_TEST(other_half.contains(10));
    BOOST_TEST(int_range().contains(-5));
    BOOST_TEST(!int_range::empty().contains(0));
}

BOOST_AUTO_TEST_CASE(ranges_are_equal_when_they_say_the_same)
{
    BOOST_TEST((int_range::empty() == int_range{1, 1, true, false, true}));
    BOOST_TEST((int_range{{}, 5, true} == int_range{{}, 5, false}));
    BOOST_TEST((int_range{1, 5, true} != int_range{1, 5, false}));
    BOOST_TEST((int_range{1, 5} != int_range::empty()));
}

BOOST_AUTO_TEST_CASE(a_multirange_is_its_ranges)
{
    auto hex = "0000000200000019020000000800000000000000010000000800000000000000030000000d1200000008000000000"
               "0000005";
    int_ranges expected{{{1, 3}, {5, {}}}};
    BOOST_TEST((decode<int_ranges>(oids::int8multirange, hex) == expected));
    BOOST_TEST(encoded_hex(expected) == hex);
    BOOST_TEST(decode<int_ranges>(oids::int8multirange, "00000000").ranges.empty());
}

BOOST_AUTO_TEST_CASE(arrays_of_ranges_come_back)
{
    std::vector<int_range> values{{1, 3}, int_range::empty()};
    BOOST_TEST(codec<std::vector<int_range>>::type == array_of(oids::int4range));
    BOOST_TEST((test::round_trip(values) == values));
}

BOOST_AUTO_TEST_CASE(a_range_is_read_only_from_ranges_whose_bounds_fit)
{
    BOOST_TEST(codec<range<std::int64_t>>::accepts(oids::int4range));
    BOOST_TEST(!codec<range<std::int64_t>>::accepts(oids::numrange));
    BOOST_TEST(!codec<range<std::int64_t>>::accepts(oids::int8multirange));
    BOOST_TEST(!codec<int_ranges>::accepts(oids::int8range));
    BOOST_TEST(codec<range<double>>::accepts(oids::first_user_defined));
}

BOOST_AUTO_TEST_CASE(a_range_without_built_in_type_is_sent_as_a_literal)
{
    BOOST_TEST(codec<range<double>>::type == oids::infer);
    BOOST_TEST(test::encoded(range<double>{0.5, 1}) == "[0.5,1)");
    BOOST_TEST(test::encoded(range<double>{}) == "(,)");
    BOOST_TEST(test::encoded(range<std::string>{"a b", "c\"d", true, true}) == R"(["a b","c""d"])");
    BOOST_TEST(test::encoded(multirange<double>{{{1, 2}, range<double>::empty()}}) == "{[1,2),empty}");
}

BOOST_AUTO_TEST_CASE(malformed_ranges_are_errors)
{
    for (auto hex : {"", "20", "80", "02", "0200000004000000", "0200000004000000010000000400000002ff",
                     "02ffffffff", "0100", "02fffffffe"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<int_range>(oids::int4range, hex), mapping_error);
    }
    for (auto hex : {"", "ffffffff", "7fffffff", "00000001", "00000001ffffffff", "0000000000"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<int_ranges>(oids::int8multirange, hex), mapping_error);
    }
}

BOOST_AUTO_TEST_SUITE_END()
