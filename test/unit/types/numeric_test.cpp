#include <pgcoro/types/numeric.hpp>

#include "bytes.hpp"
#include "samples.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <random>

using namespace pgcoro;
using test::decode;
using test::says;

namespace
{

numeric number(std::string_view text) { return numeric(text); }

} // namespace

BOOST_AUTO_TEST_SUITE(numbers)

BOOST_AUTO_TEST_CASE(every_sample_goes_from_binary_to_text_and_back_without_loss)
{
    for (const auto& sample : test::samples) {
        if (sample.type != oids::numeric) continue;
        BOOST_TEST_CONTEXT(sample.text)
        {
            auto read = decode<numeric>(oids::numeric, sample.hex);
            BOOST_TEST(read.str() == sample.text);
            BOOST_TEST(number(sample.text).str() == sample.text);
            // The server writes some scale into an infinity; it has no meaning.
            if (!read.is_infinite()) BOOST_TEST(test::encoded_hex(number(sample.text)) == sample.hex);
        }
    }
}

BOOST_AUTO_TEST_CASE(text_may_be_written_in_many_ways)
{
    BOOST_TEST(number(" +12.50 ").str() == "12.50");
    BOOST_TEST(number("007").str() == "7");
    BOOST_TEST(number(".5").str() == "0.5");
    BOOST_TEST(number("5.").str() == "5");
    BOOST_TEST(number("-0.00").str() == "0.00");
    BOOST_TEST(number("1.5e3").str() == "1500");
    BOOST_TEST(number("15e-3").str() == "0.015");
    BOOST_TEST(number("1.50E+1").str() == "15.0");
    BOOST_TEST(number("0e10").str() == "0");
    BOOST_TEST(number("nan").is_nan());
    BOOST_TEST(number("-inf").str() == "-Infinity");
    BOOST_TEST(number("+Infinity").is_infinite());
}

BOOST_AUTO_TEST_CASE(text_that_is_no_number_is_an_error)
{
    for (auto text :
         {"", " ", "-", ".", "1.2.3", "1e", "1e+", "1e+-5", "e5", "12a", "1 2", "--1", "0x10", "+nan"})
        BOOST_CHECK_EXCEPTION(number(text), mapping_error, says("is no number"));
}

BOOST_AUTO_TEST_CASE(numbers_beyond_postgresqls_limits_are_errors)
{
    BOOST_TEST(number("1e131071").str().size() == 131072u);
    BOOST_CHECK_THROW(number("1e131072"), mapping_error);
    BOOST_TEST(number("1e-16383").scale() == 16383);
    BOOST_CHECK_THROW(number("1e-16384"), mapping_error);
    BOOST_CHECK_EXCEPTION(number("1e99999999999"), mapping_error, says("exponent"));
    BOOST_CHECK_THROW(number("1e1000000000"), mapping_error);
    BOOST_CHECK_THROW(number("1e-1000000000"), mapping_error);
}

BOOST_AUTO_TEST_CASE(numbers_compare_by_value)
{
    BOOST_TEST((number("1.0") == number("1.00")));
    BOOST_TEST((number("NaN") == number("NaN")));
    std::string_view ascending[] = {"-Infinity", "-1e20", "-10000",  "-2",     "-1.5",     "-1",
                                    "-0.0001",   "0",     "0.00001", "0.0001", "1",        "1.001",
                                    "9999",      "1e4",   "12345.6", "1e20",   "Infinity", "NaN"};
    for (std::size_t i = 0; i < std::size(ascending); ++i)
        for (std::size_t j = 0; j < std::size(ascending); ++j) {
            BOOST_TEST_INFO(ascending[i] << " and " << ascending[j]);
            BOOST_TEST(((number(ascending[i]) <=> number(ascending[j])) == (i <=> j)));
        }
}

BOOST_AUTO_TEST_CASE(a_number_becomes_an_integer_only_when_it_is_one_in_range)
{
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    for (auto v : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-10000}, least, most})
        BOOST_TEST((numeric(v).to_int64() == v));
    BOOST_TEST((number("12.000").to_int64() == 12));
    for (auto text :
         {"12.5", "0.1", "9223372036854775808", "-9223372036854775809", "1e19", "1e30", "NaN", "Infinity"})
        BOOST_TEST((number(text).to_int64() == std::nullopt));
}

BOOST_AUTO_TEST_CASE(a_number_becomes_the_nearest_double)
{
    BOOST_TEST(number("0.1").to_double() == 0.1);
    BOOST_TEST(number("-12345678901234567890").to_double() == -12345678901234567890.0);
    BOOST_TEST(number("1e400").to_double() == std::numeric_limits<double>::infinity());
    BOOST_TEST(number("-1e-400").to_double() == 0.0);
    BOOST_TEST(number("5e-324").to_double() == std::numeric_limits<double>::denorm_min());
    BOOST_TEST(std::isnan(number("NaN").to_double()));
}

BOOST_AUTO_TEST_CASE(significant_digits_are_those_that_a_type_must_hold)
{
    BOOST_TEST(number("0").significant_digits() == 0);
    BOOST_TEST(number("1.50").significant_digits() == 2);
    BOOST_TEST(number("100000").significant_digits() == 1);
    BOOST_TEST(number("0.00012345").significant_digits() == 5);
    BOOST_TEST(number("10000.0001").significant_digits() == 9);
}

BOOST_AUTO_TEST_CASE(integer_columns_are_read_as_numbers_too)
{
    BOOST_TEST(decode<numeric>(oids::int8, "8000000000000000").str() == "-9223372036854775808");
    BOOST_TEST(decode<numeric>(oids::int2, "000c").str() == "12");
}

BOOST_AUTO_TEST_CASE(malformed_bytes_are_errors)
{
    for (auto hex : {"", "0000", "0001000000000000", "000100000000000000010002", "00010000000000002710",
                     "0001000000000000ffff", "0000000012340000", "0001000000008000", "00010000c00000000001",
                     "0000000000004000"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<numeric>(oids::numeric, hex), mapping_error);
    }
}

BOOST_AUTO_TEST_CASE(digits_beyond_the_scale_are_dropped_as_the_server_does)
{
    BOOST_TEST(decode<numeric>(oids::numeric, "000200000000000100010929").str() ==
               "1.2"); // 1.2345 with scale 1
    BOOST_TEST((decode<numeric>(oids::numeric, "000200000000000000010929") == numeric(1)));
}

BOOST_AUTO_TEST_CASE(random_numbers_keep_their_text_through_binary)
{
    auto seed = std::random_device()();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 2000; ++i) {
        std::string text = random() % 2 == 0 ? "-" : "";
        text += static_cast<char>('1' + random() % 9);
        for (auto n = random() % 40; n > 0; --n)
            text += static_cast<char>('0' + random() % 10 * (random() % 2));
        if (auto scale = random() % 30; scale > 0) {
            text += '.';
            for (; scale > 0; --scale) text += static_cast<char>('0' + random() % 10 * (random() % 2));
        }
        BOOST_TEST_INFO("seed " << seed);
        BOOST_TEST(test::round_trip(number(text)).str() == text);
    }
}

BOOST_AUTO_TEST_SUITE_END()
