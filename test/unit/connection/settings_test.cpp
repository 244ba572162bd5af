#include "connection/settings.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>

using namespace std::chrono_literals;
using pgcoro::connection_options;
using pgcoro::pooler_mode;
using pgcoro::timeout_option;
namespace detail = pgcoro::detail;

namespace
{

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

connection_options all_chosen()
{
    connection_options o;
    o.statement_timeout = 1s;
    o.lock_timeout = 2s;
    o.idle_in_transaction_session_timeout = 3s;
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(session_settings)

BOOST_AUTO_TEST_CASE(timeout_knows_whether_it_was_chosen)
{
    auto t = timeout_option::by_default(10s);
    BOOST_TEST(!t.is_chosen());
    BOOST_TEST((t == 10s));
    auto copy = t;
    BOOST_TEST(!copy.is_chosen());
    t *= 2;
    BOOST_TEST(t.is_chosen());
    copy = 10s; // the default's own value
    BOOST_TEST(copy.is_chosen());
    connection_options o;
    o.lock_timeout = o.statement_timeout = 250ms;
    BOOST_TEST(o.lock_timeout.is_chosen());
    BOOST_TEST((o.lock_timeout == 250ms));
    BOOST_TEST(!connection_options().statement_timeout.is_chosen());
}

BOOST_AUTO_TEST_CASE(names_of_settings_are_told_from_other_text)
{
    for (auto* name : {"work_mem", "app.tenant", "_a", "A1$"})
        BOOST_TEST(detail::is_setting_name(name), name);
    for (auto* name : {"", "1a", ".a", "a b", "a=b", "a-b", "a;", "\xc3\xa4"})
        BOOST_TEST(!detail::is_setting_name(name), name);
}

BOOST_AUTO_TEST_CASE(settings_are_found_in_startup_options)
{
    auto* text = "-c work_mem=1MB  --lock-timeout=2s -cApp.Name=a\\ b\\\\ -c work_mem=3MB -e -c nothing";
    BOOST_TEST(detail::setting_in(text, "work_mem") == "3MB"); // the last one holds
    BOOST_TEST(detail::setting_in(text, "lock_timeout") == "2s");
    BOOST_TEST(detail::setting_in(text, "app.name") == "a b\\");
    BOOST_TEST(detail::setting_in(text, "nothing") == "");
    BOOST_TEST(detail::setting_in("", "work_mem") == "");
    constexpr auto* all = "-c work_mem=1MB -c App.tenant=7 -c pgcoro.session=on --pg_trgm.word=x -c role=app";
    BOOST_TEST(detail::unlisted_settings_in(all) == "app.tenant=7\npg_trgm.word=x\nrole=app\n");
}

BOOST_AUTO_TEST_CASE(startup_packet_has_chosen_timeouts_only)
{
    connection_options o;
    o.settings["search_path"] = "a b";
    BOOST_TEST(detail::startup_options(o, "-c x=1") == "-c x=1 -c pgcoro.session=on -c search_path=a\\ b");
    o.lock_timeout = 10s;
    o.statement_timeout = 0s;
    o.idle_in_transaction_session_timeout = 0s;
    BOOST_TEST(detail::startup_options(o, "") == "-c lock_timeout=10000 -c search_path=a\\ b");
    o.pooler = pooler_mode::session;
    BOOST_TEST(detail::startup_options(o, "-c x=1") == "-c x=1");
}

BOOST_AUTO_TEST_CASE(nothing_is_asked_where_all_timeouts_are_chosen)
{
    auto o = all_chosen();
    BOOST_TEST(detail::login_statement(o) == "");
    o.settings["LOCK_TIMEOUT"] = "4s"; // which wins, so that what holds has to be asked for
    BOOST_TEST(has(detail::login_statement(o), "in (E'lock_timeout')"));
    o = all_chosen();
    o.pooler = pooler_mode::transaction;
    BOOST_TEST(detail::login_statement(o) == "");
    o.pooler = pooler_mode::session;
    BOOST_TEST(detail::login_statement(o) == detail::settings_statement(o, false));
}

BOOST_AUTO_TEST_CASE(defaults_are_applied_where_nothing_was_set)
{
    connection_options o;
    o.statement_timeout = 1s;
    auto sql = detail::login_statement(o);
    BOOST_TEST(has(sql, "in (E'lock_timeout', E'idle_in_transaction_session_timeout')"));
    BOOST_TEST(has(sql, "when E'lock_timeout' then E'10000'"));
    BOOST_TEST(has(sql, "false) end"));
    o.pooler = pooler_mode::transaction;
    BOOST_TEST(detail::login_statement(o).starts_with(detail::settings_statement(o, true) + "; "));
}

BOOST_AUTO_TEST_CASE(timeouts_in_force_are_those_that_the_server_tells)
{
    std::vector<detail::server_limit> told{{"statement_timeout", "300000", false},
                                           {"lock_timeout", "0", true},
                                           {"idle_in_transaction_session_timeout", "0", false}};
    auto o = detail::in_force({}, told);
    BOOST_TEST((o.statement_timeout == 5min));
    BOOST_TEST((o.lock_timeout == 10s));
    BOOST_TEST((o.idle_in_transaction_session_timeout == 0s));
    BOOST_TEST(o.statement_timeout.is_chosen());
    BOOST_TEST(detail::statement_after_reset({}, told) ==
               "select pg_catalog.set_config(E'lock_timeout', E'10000', false)");
    connection_options pooled;
    pooled.pooler = pooler_mode::transaction;
    BOOST_TEST(detail::statement_after_reset(pooled, told) == "");
    BOOST_TEST(detail::statement_after_reset(all_chosen(), {}) == "");
}

BOOST_AUTO_TEST_SUITE_END()
