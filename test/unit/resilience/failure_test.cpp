#include "resilience/text.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <stdexcept>

using namespace pgcoro;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(a_failure)

BOOST_AUTO_TEST_CASE(is_a_cancellation_only_as_asios_operation_aborted)
{
    using boost::system::system_error;
    BOOST_TEST(is_cancellation(std::make_exception_ptr(system_error(boost::asio::error::operation_aborted))));
    BOOST_TEST(!is_cancellation(std::make_exception_ptr(system_error(boost::asio::error::eof))));
    const server_error stopped({.severity = "ERROR", .sqlstate = sqlstates::query_canceled}, "");
    BOOST_TEST(!is_cancellation(std::make_exception_ptr(stopped)));
    BOOST_TEST(!is_cancellation(std::make_exception_ptr(1)));
    BOOST_TEST(!is_cancellation(nullptr));
}

BOOST_AUTO_TEST_CASE(is_transient_when_the_error_says_so)
{
    BOOST_TEST(is_transient(std::make_exception_ptr(pool_timeout("full"))));
    BOOST_TEST(!is_transient(std::make_exception_ptr(pool_closed("closed"))));
    BOOST_TEST(!is_transient(std::make_exception_ptr(std::runtime_error("x"))));
    BOOST_TEST(!is_transient(std::make_exception_ptr(1)));
    BOOST_TEST(!is_transient(nullptr));
}

BOOST_AUTO_TEST_CASE(is_told_by_its_first_line)
{
    BOOST_TEST(detail::first_line(std::make_exception_ptr(std::runtime_error("one\ntwo"))) == "one");
    BOOST_TEST(detail::first_line(std::make_exception_ptr(1)) == "an exception of unknown type");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(a_duration_reads_in_the_unit_that_suits_it)
{
    BOOST_TEST(detail::text_of(0ns) == "0 ns");
    BOOST_TEST(detail::text_of(850ns) == "850 ns");
    BOOST_TEST(detail::text_of(12500us) == "12.5 ms");
    BOOST_TEST(detail::text_of(3s) == "3 s");
    BOOST_TEST(detail::text_of(-5s) == "-5 s");
    BOOST_TEST(detail::text_of(150s) == "2.5 min");
    BOOST_TEST(detail::text_of(7us) == "7 us");
}
