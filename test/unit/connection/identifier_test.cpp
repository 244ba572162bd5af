#include <pgcoro/connection/identifier.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using pgcoro::identifier;

BOOST_AUTO_TEST_SUITE(identifiers)

BOOST_AUTO_TEST_CASE(whatever_a_name_contains_it_stays_within_its_quotes)
{
    BOOST_TEST(identifier("account").quoted() == R"("account")");
    BOOST_TEST(identifier("Odd \"name\"; drop table x; --").quoted() ==
               R"("Odd ""name""; drop table x; --")");
    BOOST_TEST(identifier("a.b").quoted() == R"("a.b")");
    BOOST_TEST(identifier("app", std::string("log of 2026")).quoted() == R"("app"."log of 2026")");
    BOOST_TEST(("truncate " + identifier("app", "log") + " cascade") == R"(truncate "app"."log" cascade)");
}

BOOST_AUTO_TEST_CASE(a_text_is_parsed_into_its_parts)
{
    BOOST_TEST((identifier::parse("app.account") == identifier("app", "account")));
    BOOST_TEST((identifier::parse(R"(app."a.""b"".c")") == identifier("app", R"(a."b".c)")));
    BOOST_TEST((identifier::parse("Mixed") == identifier("Mixed")));
    BOOST_TEST((identifier::parse("account; drop table x") == identifier("account; drop table x")));
    for (auto wrong : {"", ".", "a.", ".a", "a..b", "\"open", R"("a"b)", R"("")"})
        BOOST_CHECK_THROW(identifier::parse(wrong), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_a_name_is_refused)
{
    BOOST_CHECK_THROW(identifier(""), std::invalid_argument);
    BOOST_CHECK_THROW(identifier("app", ""), std::invalid_argument);
    BOOST_CHECK_THROW(identifier(std::string_view("a\0b", 3)), std::invalid_argument);
    BOOST_CHECK_THROW(identifier(std::string(64, 'x')), std::invalid_argument);
    BOOST_TEST(identifier(std::string(63, 'x')).quoted().size() == 65u);
}

BOOST_AUTO_TEST_SUITE_END()
