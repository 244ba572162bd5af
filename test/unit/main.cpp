#define BOOST_TEST_MODULE pgcoro unit
#include <boost/test/unit_test.hpp>
