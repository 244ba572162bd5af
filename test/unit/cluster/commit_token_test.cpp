#include <pgcoro/cluster/commit_token.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using pgcoro::commit_token;

BOOST_AUTO_TEST_SUITE(commit_token_tests)

BOOST_AUTO_TEST_CASE(a_token_travels_as_postgresql_writes_it)
{
    for (const char* text : {"0/0", "0/3000148", "16/B374D848", "FFFFFFFF/FFFFFFFF"})
        BOOST_TEST(commit_token::from_text(text).text() == text);
    BOOST_TEST(commit_token::from_text("16/b374d848").position() == 0x16B374D848u);
    BOOST_TEST((commit_token::from_text("") == commit_token()));
    BOOST_TEST((commit_token::from_text("FFFFFFFF/FFFFFFFF") == commit_token::primary_only()));
}

BOOST_AUTO_TEST_CASE(tokens_are_in_the_order_of_the_log)
{
    BOOST_TEST((commit_token::from_text("0/FFFFFFFF") < commit_token::from_text("1/0")));
    BOOST_TEST((commit_token() < commit_token::from_text("0/1")));
}

BOOST_AUTO_TEST_CASE(what_is_no_token_is_refused)
{
    for (const char* text :
         {"/", "1/", "/1", "12", "x/1", "1/x", "1/1/1", "123456789/0", "0/123456789", " 0/1", "0/1 ", "-1/0"})
        BOOST_CHECK_THROW(commit_token::from_text(text), std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
