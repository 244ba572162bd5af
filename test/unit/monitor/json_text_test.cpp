#include "monitor/answer.hpp"
#include "monitor/problem.hpp"
#include "observe/json_text.hpp"

#include <boost/json/object.hpp>
#include <boost/test/unit_test.hpp>

#include <limits>

using pgcoro::detail::json_text;

BOOST_AUTO_TEST_SUITE(monitor_json)

BOOST_AUTO_TEST_CASE(hostile_values_become_valid_json)
{
    constexpr auto infinity = std::numeric_limits<double>::infinity();
    boost::json::object o{{"a", infinity},
                          {"b", {-infinity, std::numeric_limits<double>::quiet_NaN(), 0.5}},
                          {"c\xFF", {{"d", "x\x80y"}}}};
    BOOST_TEST(json_text(o) ==
               "{\"a\":null,\"b\":[null,null,5E-1],\"c\xEF\xBF\xBD\":{\"d\":\"x\xEF\xBF\xBDy\"}}");
}

BOOST_AUTO_TEST_CASE(problem_of_any_bytes_is_valid_json)
{
    auto a = to_answer(pgcoro::detail::problem(boost::beast::http::status::bad_request, "no \xC3( here"));
    BOOST_TEST(a.body.find("no \xEF\xBF\xBD( here") != a.body.npos, a.body);
}

BOOST_AUTO_TEST_SUITE_END()
