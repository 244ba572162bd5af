#include "connection/settings_transaction.hpp"

#include "connection/statement_text.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::local_settings;
using namespace pgcoro::detail;

namespace
{

std::string argument(const pgcoro::params& p, std::size_t i)
{
    return std::string(p.data() + p[i].offset, static_cast<std::size_t>(p[i].size));
}

} // namespace

BOOST_AUTO_TEST_SUITE(settings_transaction_tests)

BOOST_AUTO_TEST_CASE(texts_depend_on_the_number_of_settings_only)
{
    BOOST_TEST(set_local_statement(1) == "select pg_catalog.set_config($1, $2, true)");
    BOOST_TEST(set_local_statement(2) ==
               "select pg_catalog.set_config($1, $2, true), pg_catalog.set_config($3, $4, true)");
    BOOST_TEST(restore_statement(2) ==
               "select pg_catalog.set_config($2, pg_catalog.current_setting('pgcoro.saved_2'), true), "
               "pg_catalog.set_config($1, pg_catalog.current_setting('pgcoro.saved_1'), true)");
}

BOOST_AUTO_TEST_CASE(all_values_are_saved_before_the_first_is_set)
{
    BOOST_TEST(save_and_set_local_statement(2) ==
               "select pg_catalog.set_config('pgcoro.saved_1', coalesce(pg_catalog.current_setting($1, true), ''), true), "
               "pg_catalog.set_config('pgcoro.saved_2', coalesce(pg_catalog.current_setting($3, true), ''), true), "
               "pg_catalog.set_config($1, $2, true), pg_catalog.set_config($3, $4, true)");
}

BOOST_AUTO_TEST_CASE(settings_go_between_begin_and_the_statement)
{
    local_settings settings{{"app.tenant", 7}, {"role", "app"}};
    std::string of_options = "select pg_catalog.set_config('lock_timeout', '1', true)";
    settings_transaction around(of_options, settings);
    auto& p = around.get();
    BOOST_REQUIRE(p.before.size() == 3u);
    BOOST_TEST(p.before[0].sql == "begin");
    BOOST_TEST(p.before[1].sql == of_options);
    BOOST_TEST(p.before[2].sql == set_local_statement(2));
    auto& args = *p.before[2].args;
    BOOST_REQUIRE(args.size() == 4u);
    BOOST_TEST(argument(args, 0) == "app.tenant");
    BOOST_TEST(argument(args, 1) == "7");
    BOOST_TEST(argument(args, 2) == "role");
    BOOST_TEST(argument(args, 3) == "app");
    BOOST_CHECK(p.commit == commit_place::after_sync);
    BOOST_TEST(p.behind.sql.empty());
}

BOOST_AUTO_TEST_CASE(in_a_transaction_they_are_set_back_behind_the_statement)
{
    local_settings settings{{"app.tenant", 7}};
    prologue p;
    p.before.push_back({"savepoint pgcoro_1"});
    settings_in_transaction set(p, settings);
    BOOST_REQUIRE(p.before.size() == 2u);
    BOOST_TEST(p.before[1].sql == save_and_set_local_statement(1));
    BOOST_TEST(p.behind.sql == restore_statement(1));
    BOOST_TEST(argument(*p.behind.args, 0) == "app.tenant");
    BOOST_CHECK(p.commit == commit_place::none);
}

BOOST_AUTO_TEST_CASE(parameters_become_literals_in_the_simple_protocol)
{
    auto args = pgcoro::params::of("a'b\\c", "$1");
    auto c = companion::prepared("select f($1, $2), $1", args);
    BOOST_TEST(text_of(c) == "select f(E'a''b\\\\c', E'$1'), E'a''b\\\\c'");
    BOOST_TEST(text_of(companion::prepared("begin")) == "begin");
}

BOOST_AUTO_TEST_SUITE_END()
