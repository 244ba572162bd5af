#include <pgcoro/types/bits.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using test::decode;
using test::encoded_hex;
using test::says;

BOOST_AUTO_TEST_SUITE(bits)

BOOST_AUTO_TEST_CASE(the_first_bit_is_the_leftmost)
{
    bit_string nine{{true, false, true, true, false, false, true, true, true}};
    BOOST_TEST((decode<bit_string>(oids::varbit, "00000009b380") == nine));
    BOOST_TEST(encoded_hex(nine) == "00000009b380");
    BOOST_TEST(encoded_hex(bit_string()) == "00000000");
    BOOST_TEST(decode<bit_string>(oids::varbit, "00000000").bits.empty());
}

BOOST_AUTO_TEST_CASE(a_bitset_reads_as_postgresql_prints)
{
    BOOST_TEST(decode<std::bitset<8>>(oids::bit, "00000008b3").to_string() == "10110011");
    BOOST_TEST(encoded_hex(std::bitset<9>("101100111")) == "00000009b380");
    BOOST_CHECK_EXCEPTION(decode<std::bitset<7>>(oids::bit, "00000008b3"), mapping_error,
                          says("8 bits, not of 7"));
}

BOOST_AUTO_TEST_CASE(bit_strings_of_another_length_than_they_say_are_errors)
{
    for (auto hex : {"", "000000", "ffffffff", "7fffffff", "00000009b3", "00000008b300", "00000000ff"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<bit_string>(oids::varbit, hex), mapping_error);
    }
}

BOOST_AUTO_TEST_SUITE_END()
