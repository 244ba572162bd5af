#include <pgcoro/types/network.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using boost::asio::ip::address;
using boost::asio::ip::make_address;
using test::decode;
using test::encoded_hex;
using test::says;

BOOST_AUTO_TEST_SUITE(network)

BOOST_AUTO_TEST_CASE(an_inet_is_an_address_with_a_prefix)
{
    inet v4{make_address("192.168.1.5"), 24};
    inet v6{make_address("2001:db8::1"), 64};
    BOOST_TEST((decode<inet>(oids::inet, "02180004c0a80105") == v4));
    BOOST_TEST((decode<inet>(oids::inet, "0340001020010db8000000000000000000000001") == v6));
    BOOST_TEST(encoded_hex(v4) == "02180004c0a80105");
    BOOST_TEST(encoded_hex(v6) == "0340001020010db8000000000000000000000001");
}

BOOST_AUTO_TEST_CASE(a_cidr_is_told_from_an_inet)
{
    cidr net{make_address("10.0.0.0"), 8};
    BOOST_TEST((decode<cidr>(oids::cidr, "020801040a000000") == net));
    BOOST_TEST(encoded_hex(net) == "020801040a000000");
    BOOST_TEST(codec<inet>::accepts(oids::cidr));
    BOOST_TEST(!codec<cidr>::accepts(oids::inet));
}

BOOST_AUTO_TEST_CASE(a_plain_address_is_an_inet_of_one_host)
{
    BOOST_TEST((decode<address>(oids::inet, "02200004c0a80105") == make_address("192.168.1.5")));
    BOOST_TEST(encoded_hex(make_address("192.168.1.5")) == "02200004c0a80105");
    BOOST_TEST(encoded_hex(make_address("2001:db8::1")) == "0380001020010db8000000000000000000000001");
    BOOST_CHECK_EXCEPTION(decode<address>(oids::inet, "02180004c0a80105"), mapping_error,
                          says("pgcoro::inet"));
}

BOOST_AUTO_TEST_CASE(addresses_that_postgresql_cannot_hold_are_errors)
{
    BOOST_CHECK_EXCEPTION(test::encoded(make_address("fe80::1%1")), mapping_error, says("scope"));
    BOOST_CHECK_EXCEPTION(test::encoded(inet{make_address("10.0.0.1"), 33}), mapping_error, says("33 bits"));
    BOOST_CHECK_THROW(test::encoded(cidr{make_address("::1"), 129}), mapping_error);
}

BOOST_AUTO_TEST_CASE(malformed_addresses_are_errors)
{
    for (auto hex : {"", "02", "02200004c0a801", "02200004c0a8010500", "02210004c0a80105", "04200004c0a80105",
                     "02200010c0a80105", "03200004c0a80105"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<inet>(oids::inet, hex), mapping_error);
    }
}

BOOST_AUTO_TEST_CASE(mac_addresses_are_six_or_eight_bytes)
{
    macaddr six{{8, 0, 0x2b, 1, 2, 3}};
    BOOST_TEST((decode<macaddr>(oids::macaddr, "08002b010203") == six));
    BOOST_TEST(encoded_hex(six) == "08002b010203");
    BOOST_TEST(encoded_hex(decode<macaddr8>(oids::macaddr8, "08002b0102030405")) == "08002b0102030405");
    BOOST_CHECK_THROW(decode<macaddr>(oids::macaddr, "08002b01020304"), mapping_error);
}

BOOST_AUTO_TEST_SUITE_END()
