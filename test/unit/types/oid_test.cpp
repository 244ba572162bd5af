#include <pgcoro/types/oid.hpp>

#include <boost/test/unit_test.hpp>

using namespace pgcoro;

BOOST_AUTO_TEST_SUITE(type_numbers)

BOOST_AUTO_TEST_CASE(types_are_named_as_sql_names_them)
{
    BOOST_TEST(type_name(oids::int8) == "bigint");
    BOOST_TEST(type_name(1185) == "timestamp with time zone[]");
    BOOST_TEST(type_name(oids::int8multirange) == "int8multirange");
    BOOST_TEST(type_name(99999) == "type with OID 99999");
    BOOST_TEST(type_name(oids::infer) == "type with OID 0");
}

BOOST_AUTO_TEST_CASE(arrays_and_ranges_are_found_both_ways)
{
    BOOST_TEST(array_of(oids::int4) == 1007u);
    BOOST_TEST(element_of(1007) == oids::int4);
    BOOST_TEST(element_of(oids::oidvector) == oids::oid_);
    BOOST_TEST(range_of(oids::date) == oids::daterange);
    BOOST_TEST(multirange_of(oids::date) == oids::datemultirange);
    BOOST_TEST(bound_of(oids::daterange) == oids::date);
    BOOST_TEST(bound_of(oids::datemultirange) == oids::date);
}

BOOST_AUTO_TEST_CASE(what_has_no_array_or_range_gives_0)
{
    BOOST_TEST(array_of(oids::infer) == 0u);
    BOOST_TEST(array_of(1007) == 0u);
    BOOST_TEST(element_of(oids::int4) == 0u);
    BOOST_TEST(element_of(oids::infer) == 0u);
    BOOST_TEST(range_of(oids::text) == 0u);
    BOOST_TEST(bound_of(oids::int4) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
