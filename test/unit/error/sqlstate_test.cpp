#include <pgcoro/error/sqlstate.hpp>

#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <string>

using namespace pgcoro;
using code = pgcoro::sqlstate;

BOOST_AUTO_TEST_SUITE(a_sqlstate)

BOOST_AUTO_TEST_CASE(is_five_characters_of_which_two_are_its_class)
{
    constexpr code c("40P01");
    static_assert(c.str() == "40P01");
    static_assert(c.class_code() == "40");
    static_assert(c == sqlstates::deadlock_detected);
    static_assert(c != code("40001"));
    static_assert(code("40001") < c);
}

BOOST_AUTO_TEST_CASE(says_nothing_by_default_and_for_text_that_is_none)
{
    for (auto* text : {"", "4000", "400011", "4000a", "40 01", "4000-", "\0\0\0\0\0"}) {
        BOOST_TEST(!code(text), text);
        BOOST_TEST(code(text).str() == "00000");
    }
    BOOST_TEST(!code());
    BOOST_TEST(static_cast<bool>(code("00001")));
}

BOOST_AUTO_TEST_CASE(has_the_name_of_the_documentation_or_of_its_class_or_none)
{
    BOOST_TEST(condition_name(sqlstates::serialization_failure) == "serialization_failure");
    BOOST_TEST(condition_name(sqlstates::unique_violation) == "unique_violation");
    BOOST_TEST(condition_name(code("23001")) == "integrity_constraint_violation");
    BOOST_TEST(condition_name(code("QQ000")) == "");
    BOOST_TEST(condition_name(code()) == "successful_completion");
}

BOOST_AUTO_TEST_CASE(survives_the_way_to_an_error_code_and_back)
{
    for (auto* text : {"00001", "01000", "23505", "40P01", "57P03", "HV00R", "P0001", "XX000", "ZZZZZ"}) {
        const auto e = make_error_code(code(text));
        BOOST_TEST(e.failed(), text);
        BOOST_TEST(to_sqlstate(e).str() == text);
    }
    BOOST_TEST(!make_error_code(code()).failed());
    BOOST_TEST(!to_sqlstate(boost::system::errc::make_error_code(boost::system::errc::timed_out)));
}

BOOST_AUTO_TEST_CASE(tells_its_code_and_name_as_an_error_codes_message)
{
    const auto e = make_error_code(sqlstates::deadlock_detected);
    BOOST_TEST(e.message() == "40P01 deadlock_detected");
    BOOST_TEST(e.category().name() == std::string("pgcoro.sqlstate"));
}

BOOST_AUTO_TEST_CASE(compares_with_conditions)
{
    auto is = [](const char* text, condition c) { return make_error_code(code(text)) == c; };
    BOOST_TEST(is("40001", condition::retryable_transaction));
    BOOST_TEST(is("40P01", condition::retryable_transaction));
    BOOST_TEST(is("08006", condition::connection_lost));
    BOOST_TEST(is("57P01", condition::connection_lost));
    BOOST_TEST(is("57P03", condition::server_unavailable));
    BOOST_TEST(is("53300", condition::server_unavailable));
    BOOST_TEST(is("25006", condition::read_only_server));
    BOOST_TEST(is("57014", condition::timeout_or_cancel));
    BOOST_TEST(is("23503", condition::constraint_violation));
    BOOST_TEST(is("23505", condition::constraint_violation)); // though it is retried on request
    BOOST_TEST(is("23P01", condition::constraint_violation));
    BOOST_TEST(!is("23505", condition::retryable_transaction));
    BOOST_TEST(!is("40001", condition::connection_lost));
    BOOST_TEST(!is("42601", condition::constraint_violation));
    BOOST_TEST(!is("55P03", condition::timeout_or_cancel));
}

BOOST_AUTO_TEST_CASE(has_conditions_that_say_what_they_mean)
{
    for (auto c :
         {condition::retryable_transaction, condition::connection_lost, condition::server_unavailable,
          condition::read_only_server, condition::timeout_or_cancel, condition::constraint_violation}) {
        BOOST_TEST(!make_error_condition(c).message().empty());
        BOOST_TEST(make_error_condition(c).message() != "unknown");
    }
}

BOOST_AUTO_TEST_SUITE_END()
