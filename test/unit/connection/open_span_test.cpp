#include "connection/open_span.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <stdexcept>
#include <string>

using namespace pgcoro;

namespace
{

struct types : observer
{
    bool wants_spans() const noexcept override { return true; }
    void on_span(const span_event& e) noexcept override
    {
        type = e.error_type;
        ++ended;
    }
    std::string type;
    int ended = 0;
};

template <class Error>
std::string type_of(Error e)
{
    types told;
    auto span = detail::open_span::begin(&told, span_of::statement, trace_context::make());
    span->failed(std::make_exception_ptr(std::move(e)));
    span.reset();
    BOOST_TEST(told.ended == 1);
    return told.type;
}

} // namespace

BOOST_AUTO_TEST_SUITE(open_spans)

BOOST_AUTO_TEST_CASE(each_error_has_its_type)
{
    BOOST_TEST(type_of(connection_error(connection_failure::lost, "")) == "connection_lost");
    BOOST_TEST(type_of(connection_error(connection_failure::timeout, "")) == "connection_timeout");
    BOOST_TEST(type_of(connection_error(connection_failure::refused, "")) == "connection_failed");
    BOOST_TEST(type_of(pool_timeout("")) == "pool_timeout");
    BOOST_TEST(type_of(pool_closed("")) == "pool_closed");
    BOOST_TEST(type_of(commit_unknown("")) == "commit_unknown");
    BOOST_TEST(type_of(deadline_exceeded("")) == "deadline_exceeded");
    BOOST_TEST(type_of(mapping_error("")) == "mapping_error");
    BOOST_TEST(type_of(std::runtime_error("")) == "_OTHER");
    BOOST_TEST(type_of(boost::system::system_error(boost::asio::error::operation_aborted)) == "cancelled");
    diagnostics d;
    d.sqlstate = sqlstate("23505");
    BOOST_TEST(type_of(server_error(d, "insert")) == "23505");
}

BOOST_AUTO_TEST_CASE(one_that_is_let_go_was_cancelled_and_one_that_ended_is_told_once)
{
    types told;
    detail::open_span::begin(&told, span_of::statement, trace_context::make()).reset();
    BOOST_TEST(told.type == "cancelled");
    auto fine = detail::open_span::begin(&told, span_of::statement, trace_context::make());
    fine->end();
    fine->failed(std::make_exception_ptr(pool_closed("too late")));
    fine.reset();
    BOOST_TEST(told.type == "");
    BOOST_TEST(told.ended == 2);
}

BOOST_AUTO_TEST_SUITE_END()
