#define BOOST_TEST_MODULE pgcoro integration
#include <boost/test/unit_test.hpp>
