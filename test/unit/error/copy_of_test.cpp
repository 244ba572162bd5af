#include "error/copy_of.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>
#include <string>

using namespace pgcoro;
using detail::copy_of;

namespace
{

std::string text_of(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& known) {
        return known.what();
    }
}

void add_note(const std::exception_ptr& e, const char* note)
{
    try {
        std::rethrow_exception(e);
    } catch (error& known) {
        known.add_note(note);
    }
}

template <class Error>
bool has_type(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& known) {
        return typeid(known) == typeid(Error);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(copies_of_exceptions)

BOOST_AUTO_TEST_CASE(a_note_on_a_copy_is_not_on_the_original)
{
    auto original = std::make_exception_ptr(pool_timeout("none became free"));
    auto copy = copy_of(original);
    add_note(copy, "after 3 attempts");
    BOOST_TEST(text_of(copy).find("after 3 attempts") != std::string::npos);
    BOOST_TEST(text_of(original) == "none became free");
    BOOST_TEST(text_of(copy_of(original)) == "none became free");
}

BOOST_AUTO_TEST_CASE(a_copy_has_the_type_of_the_original)
{
    BOOST_TEST(has_type<commit_unknown>(copy_of(std::make_exception_ptr(commit_unknown("?")))));
    BOOST_TEST(has_type<server_error>(copy_of(std::make_exception_ptr(server_error({}, "select 1")))));
    BOOST_TEST(has_type<connection_error>(
        copy_of(std::make_exception_ptr(connection_error(connection_failure::lost, "gone")))));
    BOOST_TEST(has_type<error>(copy_of(std::make_exception_ptr(error("some")))));
}

BOOST_AUTO_TEST_CASE(other_exceptions_are_returned_unchanged)
{
    struct derived : pool_timeout
    {
        using pool_timeout::pool_timeout;
    };
    auto of_user = std::make_exception_ptr(derived("mine"));
    BOOST_CHECK(copy_of(of_user) == of_user);
    auto standard = std::make_exception_ptr(std::runtime_error("x"));
    BOOST_CHECK(copy_of(standard) == standard);
    BOOST_CHECK(!copy_of(nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
