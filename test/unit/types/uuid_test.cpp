#include <pgcoro/types/uuid.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>
#include <boost/uuid/uuid_io.hpp>

using namespace pgcoro;
using boost::uuids::uuid;

BOOST_AUTO_TEST_SUITE(uuids)

BOOST_AUTO_TEST_CASE(a_uuid_is_sixteen_bytes_in_order)
{
    auto v = test::decode<uuid>(oids::uuid, "a0eebc999c0b4ef8bb6d6bb9bd380a11");
    BOOST_TEST(to_string(v) == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    BOOST_TEST(test::encoded_hex(v) == "a0eebc999c0b4ef8bb6d6bb9bd380a11");
    BOOST_CHECK_THROW(test::decode<uuid>(oids::uuid, "a0eebc99"), mapping_error);
}

BOOST_AUTO_TEST_SUITE_END()
