#include <pgcoro/types/hstore.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;

BOOST_AUTO_TEST_SUITE(hstores)

BOOST_AUTO_TEST_CASE(an_hstore_is_a_map_whose_values_may_be_null)
{
    hstore expected{{"a", "1"}, {"b c", std::nullopt}, {"q\"t", "\\"}};
    BOOST_TEST(
        (test::decode<hstore>(oids::first_user_defined,
                              "000000030000000161000000013100000003622063ffffffff00000003712274000000015c") ==
         expected));
    BOOST_TEST(test::encoded(expected) == R"("a"=>"1","b c"=>NULL,"q\"t"=>"\\")");
    BOOST_TEST(test::encoded(hstore()) == "");
}

BOOST_AUTO_TEST_CASE(malformed_hstores_are_errors)
{
    for (auto hex : {"", "ffffffff", "7fffffff", "00000001ffffffff0000000161", "0000000100000001610000000231",
                     "0000000000", "000000010000000161fffffffe"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(test::decode<hstore>(oids::first_user_defined, hex), mapping_error);
    }
    BOOST_CHECK_THROW(test::encoded(hstore{{std::string(1, '\0'), "x"}}), mapping_error);
}

BOOST_AUTO_TEST_SUITE_END()
