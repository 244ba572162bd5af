#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/chrono.hpp>
#include <pgcoro/types/numeric.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

using namespace pgcoro;
using test::decode;
using test::encoded;
using test::encoded_hex;
using test::says;

namespace
{

constexpr auto int4_array = array_of(oids::int4);
constexpr auto text_array = array_of(oids::text);
using ints = std::vector<int>;
using int_rows = std::vector<std::vector<int>>;

// {{1,2,3},{4,5,6}}
constexpr std::string_view two_by_three =
    "00000002000000000000001700000002000000010000000300000001000000040000000100000004000000020000000400000003"
    "000000040000000400000004000000050000000400000006";
constexpr std::string_view with_null =
    "00000001000000010000001700000003000000010000000400000001ffffffff00000004fffffffd"; // {1,NULL,-3}

} // namespace

BOOST_AUTO_TEST_SUITE(arrays)

BOOST_AUTO_TEST_CASE(an_array_is_a_vector)
{
    BOOST_TEST(codec<ints>::type == int4_array);
    BOOST_TEST(encoded_hex(ints{7, 8}) ==
               "000000010000000000000017000000020000000100000004000000070000000400000008");
    BOOST_TEST((test::round_trip(ints{1, 2, 3}) == ints{1, 2, 3}));
    BOOST_TEST((decode<std::vector<std::string>>(
                    text_array, "000000010000000000000019000000020000000100000001780000000179") ==
                std::vector<std::string>{"x", "y"}));
}

BOOST_AUTO_TEST_CASE(an_empty_array_has_no_dimension)
{
    BOOST_TEST(encoded_hex(ints()) == "000000000000000000000017");
    BOOST_TEST(decode<ints>(int4_array, "000000000000000000000017").empty());
    BOOST_TEST(decode<int_rows>(int4_array, "000000000000000000000017").empty());
    BOOST_TEST(encoded_hex(int_rows{{}, {}}) == "000000000000000000000017");
}

BOOST_AUTO_TEST_CASE(vectors_in_vectors_are_dimensions)
{
    BOOST_TEST((decode<int_rows>(int4_array, two_by_three) == int_rows{{1, 2, 3}, {4, 5, 6}}));
    BOOST_TEST(encoded_hex(int_rows{{1, 2, 3}, {4, 5, 6}}) == two_by_three);
    std::vector<std::vector<std::vector<std::int64_t>>> cube{{{1}, {2}}, {{3}, {4}}};
    BOOST_TEST((test::round_trip(cube) == cube));
    BOOST_TEST(encoded_hex(std::array<std::array<int, 3>, 2>{{{1, 2, 3}, {4, 5, 6}}}) == two_by_three);
}

BOOST_AUTO_TEST_CASE(an_array_of_another_depth_is_an_error)
{
    BOOST_CHECK_EXCEPTION(decode<ints>(int4_array, two_by_three), mapping_error,
                          says("2 dimensions, not of 1"));
    BOOST_CHECK_THROW(decode<int_rows>(int4_array, encoded_hex(ints{1})), mapping_error);
}

BOOST_AUTO_TEST_CASE(rows_of_unequal_length_are_an_error)
{
    BOOST_CHECK_EXCEPTION(encoded(int_rows{{1, 2}, {3}}), mapping_error, says("differ in length"));
    BOOST_CHECK_THROW(encoded(int_rows{{}, {3}}), mapping_error);
    using string_rows = std::vector<std::vector<std::string>>;
    BOOST_CHECK_THROW(encoded(string_rows{{"a"}, {}}), mapping_error);
    BOOST_CHECK_THROW(encoded(string_rows{{}, {"a"}}), mapping_error);
}

BOOST_AUTO_TEST_CASE(null_elements_are_optional)
{
    using optionals = std::vector<std::optional<int>>;
    BOOST_TEST((decode<optionals>(int4_array, with_null) == optionals{1, std::nullopt, -3}));
    BOOST_TEST((test::round_trip(optionals{1, std::nullopt}) == optionals{1, std::nullopt}));
    BOOST_CHECK_EXCEPTION(decode<ints>(int4_array, with_null), mapping_error,
                          says("element 2: NULL: use std::optional"));
}

BOOST_AUTO_TEST_CASE(lower_bounds_are_ignored)
{
    BOOST_TEST((decode<ints>(int4_array,
                             "000000010000000000000017000000020000000200000004000000070000000400000008") ==
                ints{7, 8})); // [2:3]={7,8}
}

BOOST_AUTO_TEST_CASE(a_std_array_has_just_its_size)
{
    using three = std::array<std::optional<int>, 3>;
    BOOST_TEST((decode<three>(int4_array, with_null) == three{1, std::nullopt, -3}));
    BOOST_CHECK_EXCEPTION((decode<std::array<std::optional<int>, 2>>(int4_array, with_null)), mapping_error,
                          says("3 elements, not of 2"));
}

BOOST_AUTO_TEST_CASE(an_empty_array_is_no_std_array)
{
    BOOST_CHECK_THROW((decode<std::array<int, 2>>(int4_array, "000000000000000000000017")), mapping_error);
}

BOOST_AUTO_TEST_CASE(vectors_of_bool_and_of_bytes_are_what_one_expects)
{
    BOOST_TEST(codec<std::vector<bool>>::type == array_of(oids::boolean));
    BOOST_TEST((test::round_trip(std::vector<bool>{true, false}) == std::vector<bool>{true, false}));
    BOOST_TEST(codec<std::vector<std::byte>>::type == oids::bytea);
    using blobs = std::vector<std::vector<std::byte>>;
    BOOST_TEST(codec<blobs>::type == array_of(oids::bytea));
    blobs two{{std::byte{0}, std::byte{255}}, {}};
    BOOST_TEST((test::round_trip(two) == two));
}

BOOST_AUTO_TEST_CASE(a_span_can_be_sent)
{
    ints values{7, 8};
    BOOST_TEST(encoded(std::span(values)) == encoded(values));
    BOOST_TEST(encoded(std::span<const int>(values)) == encoded(values));
    static_assert(!decodable<std::span<int>>);
}

BOOST_AUTO_TEST_CASE(element_types_are_checked)
{
    BOOST_TEST(codec<ints>::accepts(int4_array));
    BOOST_TEST(codec<ints>::accepts(array_of(oids::int8)));
    BOOST_TEST(codec<ints>::accepts(oids::int2vector));
    BOOST_TEST(!codec<ints>::accepts(text_array));
    BOOST_TEST(!codec<ints>::accepts(oids::int4));
    BOOST_TEST(codec<ints>::accepts(oids::first_user_defined)); // an array of a domain, perhaps
    // … which the value itself tells better.
    BOOST_CHECK_EXCEPTION(decode<ints>(oids::first_user_defined,
                                       "000000010000000000000019000000020000000100000001780000000179"),
                          mapping_error, says("text does not fit"));
    // A domain over integer.
    BOOST_TEST((decode<ints>(oids::first_user_defined,
                             "0000000100000000000040f9000000020000000100000004000000010000000400000002") ==
                ints{1, 2}));
}

BOOST_AUTO_TEST_CASE(strings_are_sent_as_a_literal_whose_type_the_server_infers)
{
    using strings = std::vector<std::string>;
    BOOST_TEST(codec<strings>::type == oids::infer);
    BOOST_CHECK(codec<strings>::parameter_format == format::text);
    BOOST_TEST(encoded(strings{"a", "b c", "", "NULL", "q\"u", "b\\s", "{x}", "c,d"}) ==
               R"({a,"b c","","NULL","q\"u","b\\s","{x}","c,d"})");
    BOOST_TEST(encoded(strings{}) == "{}");
    BOOST_TEST(encoded(std::vector<std::optional<std::string>>{"a", std::nullopt}) == "{a,NULL}");
    BOOST_TEST(encoded(std::vector<strings>{{"a", "b"}, {"c", "d"}}) == "{{a,b},{c,d}}");
    BOOST_TEST(encoded(std::vector<strings>{{}, {}}) == "{}");
    BOOST_CHECK_EXCEPTION(encoded(strings{std::string("a\0b", 3)}), mapping_error, says("NUL"));
}

BOOST_AUTO_TEST_CASE(headers_that_promise_more_than_there_is_are_errors_before_anything_is_allocated)
{
    for (auto hex : {
             "000000010000000000000017ffffffff00000001",                                   // 4 G elements
             "00000002000000000000001780000000000000010000000000000001",                   // 2 G empty rows
             "000000020000000000000017800000000000000180000000000000010000000000000000",   // the product
                                                                                           // overflows
             "00000007000000000000001700000001000000010000000100000001",                   // 7 dimensions
             "ffffffff0000000000000017",                                                   // many more
             "000000010000000000000017000000020000000100000004000000070000000400000008ff", // something behind
             "0000000100000000000000170000000100000001fffffffe",                           // a length of -2
             "000000010000000000000017000000010000000100000005000000",                     // cut short
             "0000000000000000000000",
         }) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<ints>(int4_array, hex), mapping_error);
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<int_rows>(int4_array, hex), mapping_error);
    }
}

BOOST_AUTO_TEST_CASE(random_arrays_come_back)
{
    auto seed = std::random_device()();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 200; ++i) {
        std::vector<std::vector<std::optional<numeric>>> rows(1 + random() % 5);
        auto width = 1 + random() % 5;
        for (auto& row : rows)
            for (std::size_t n = 0; n < width; ++n)
                row.push_back(random() % 4 == 0
                                  ? std::nullopt
                                  : std::optional(numeric(static_cast<std::int64_t>(random()))));
        BOOST_TEST_INFO("seed " << seed);
        BOOST_TEST((test::round_trip(rows) == rows));
    }
}

BOOST_AUTO_TEST_SUITE_END()
