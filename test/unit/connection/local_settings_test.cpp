#include <pgcoro/connection/local_settings.hpp>

#include <boost/test/unit_test.hpp>

#include <limits>
#include <stdexcept>
#include <string>

using pgcoro::local_settings;

BOOST_AUTO_TEST_SUITE(local_settings_tests)

BOOST_AUTO_TEST_CASE(values_are_texts_integers_and_booleans)
{
    const std::string text = "seven";
    local_settings s{{"a.text", "x"},       {"a.string", text},
                     {"a.number", -7},      {"a.large", std::numeric_limits<std::uint64_t>::max()},
                     {"a.on", true},        {"a.off", false},
                     {"a.view", std::string_view("v")}};
    BOOST_TEST(*s.find("a.text") == "x");
    BOOST_TEST(*s.find("a.string") == "seven");
    BOOST_TEST(*s.find("a.number") == "-7");
    BOOST_TEST(*s.find("a.large") == "18446744073709551615");
    BOOST_TEST(*s.find("a.on") == "on");
    BOOST_TEST(*s.find("a.off") == "off");
    BOOST_TEST(*s.find("a.view") == "v");
    BOOST_TEST(!s.find("a.other"));
}

BOOST_AUTO_TEST_CASE(order_is_kept)
{
    local_settings s{{"role", "app"}, {"search_path", "t"}};
    s.add({"a.b", 1});
    BOOST_TEST(s.size() == 3u);
    BOOST_TEST(s.entries()[0].name == "role");
    BOOST_TEST(s.entries()[1].name == "search_path");
    BOOST_TEST(s.entries()[2].name == "a.b");
    BOOST_CHECK(s != (local_settings{{"search_path", "t"}, {"role", "app"}, {"a.b", 1}}));
}

BOOST_AUTO_TEST_CASE(upper_and_lower_case_are_one_name)
{
    local_settings s{{"App.Tenant", 7}};
    BOOST_TEST(s.entries()[0].name == "app.tenant");
    BOOST_TEST(*s.find("APP.TENANT") == "7");
    BOOST_CHECK(s == (local_settings{{"app.tenant", "7"}}));
}

BOOST_AUTO_TEST_CASE(duplicate_names_are_refused)
{
    BOOST_CHECK_THROW((local_settings{{"role", "a"}, {"ROLE", "b"}}), std::invalid_argument);
    local_settings s{{"role", "a"}};
    BOOST_CHECK_THROW(s.add({"Role", "b"}), std::invalid_argument);
    BOOST_TEST(*s.find("role") == "a");
}

BOOST_AUTO_TEST_CASE(names_that_no_setting_can_have_are_refused)
{
    for (auto name : {"", "1a", "a b", "a'b", "a;b", "a\"b", "a-b", "ä", ".a", "pgcoro.saved_1", "PGCORO.x"})
        BOOST_CHECK_THROW((local_settings{{name, "x"}}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(values_that_would_be_cut_are_refused)
{
    BOOST_CHECK_THROW((local_settings{{"app.tenant", std::string("7\0001", 3)}}), std::invalid_argument);
    const char* null = nullptr;
    BOOST_CHECK_THROW((local_settings{{"app.tenant", null}}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(any_other_value_is_a_value)
{
    local_settings s{{"a.empty", ""}, {"a.quotes", "'; drop table account; --"}, {"a.line", "1\n2"}};
    BOOST_TEST(*s.find("a.empty") == "");
    BOOST_TEST(*s.find("a.quotes") == "'; drop table account; --");
    BOOST_TEST(*s.find("a.line") == "1\n2");
}

BOOST_AUTO_TEST_CASE(keys_are_equal_only_for_equal_settings)
{
    local_settings some[] = {{},
                             {{"a.b", ""}},
                             {{"a.b", "1"}},
                             {{"a.b", "11"}},
                             {{"a.b1", "1"}},
                             {{"a.b", "1"}, {"c.d", "2"}},
                             {{"c.d", "2"}, {"a.b", "1"}},
                             {{"a.b", "1c.d2"}},
                             {{"a.b", ""}, {"c.d", ""}}};
    for (auto& a : some)
        for (auto& b : some) BOOST_TEST((a.key() == b.key()) == (&a == &b));
    BOOST_TEST((local_settings{{"A.B", 1}}).key() == (local_settings{{"a.b", "1"}}).key());
}

BOOST_AUTO_TEST_SUITE_END()
