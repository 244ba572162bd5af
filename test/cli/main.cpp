#define BOOST_TEST_MODULE pgcoro command
#include <boost/test/unit_test.hpp>
