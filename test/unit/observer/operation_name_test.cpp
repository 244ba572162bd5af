#include <pgcoro/observer/operation_name.hpp>
#include <pgcoro/resilience/retry_policy.hpp>
#include <pgcoro/transaction/options.hpp>

#include <boost/test/unit_test.hpp>

#include <type_traits>

using pgcoro::operation_name;

BOOST_AUTO_TEST_SUITE(operation_names)

BOOST_AUTO_TEST_CASE(name_built_on_the_fly_is_kept)
{
    pgcoro::transaction_options how;
    how.name = std::string("transfer ") + std::to_string(7);
    auto copy = how;
    how.name = "another";
    BOOST_TEST(copy.name.view() == "transfer 7");
    pgcoro::retry_policy policy;
    BOOST_TEST(policy.name.view() == "retry");
    policy.name = std::string(20, 'x');
    BOOST_TEST(policy.name.view() == std::string(20, 'x'));
}

BOOST_AUTO_TEST_CASE(null_is_an_empty_name)
{
    const char* none = nullptr;
    BOOST_TEST(operation_name(none).empty());
    BOOST_TEST(operation_name().view() == "");
}

BOOST_AUTO_TEST_CASE(long_name_is_cut_between_characters)
{
    BOOST_TEST(operation_name(std::string(63, 'a')).view() == std::string(63, 'a'));
    BOOST_TEST(operation_name(std::string(64, 'a')).view() == std::string(63, 'a'));
    BOOST_TEST(operation_name(std::string(62, 'a') + "\u00e9").view() == std::string(62, 'a'));
    BOOST_TEST(operation_name(std::string(61, 'a') + "\u00e9b").view() == std::string(61, 'a') + "\u00e9");
    BOOST_TEST(operation_name(std::string(200, '\x80')).view() == "");
}

// See the class: a destructor would be run twice by GCC 12.
static_assert(std::is_trivially_copyable_v<operation_name> && std::is_trivially_destructible_v<operation_name>);

BOOST_AUTO_TEST_SUITE_END()
