#include "connection/session_context.hpp"

#include <boost/test/unit_test.hpp>

#include <initializer_list>
#include <random>
#include <string>

using pgcoro::detail::change_in;
using pgcoro::detail::session_context;
namespace kind = pgcoro::detail::effect_kind;

namespace
{

// A session as a server would have it, by statements that all succeed unless they are said to fail.
struct told
{
    session_context context;
    bool in_block = false;

    void ready() { context.ready(!in_block); }
    void run(std::string_view sql)
    {
        auto change = change_in(sql);
        for (auto& step : change.steps) {
            using act = pgcoro::detail::session_change::act;
            if (step.what == act::begin) in_block = true;
            if (step.what == act::commit || step.what == act::rollback) in_block = step.chain;
        }
        context.apply(change);
        ready();
    }
    void run(std::initializer_list<const char*> all)
    {
        for (auto* sql : all) run(std::string_view(sql));
    }
    void fail(std::string_view sql)
    {
        auto change = change_in(sql);
        context.failed(&change);
        ready();
    }

    // The value of a setting; "-" if it has its default.
    std::string value(std::string_view name) const
    {
        auto* found = context.find(name);
        return found ? *found : "-";
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(session_context_tests, told)

BOOST_AUTO_TEST_CASE(each_sync_outside_of_a_block_ends_a_transaction)
{
    auto set = change_in("set a.b to 'x'");
    context.apply(set);
    context.synced();
    context.failed(nullptr);
    context.synced();
    BOOST_TEST(value("a.b") == "x");
    run("begin");
    context.apply(change_in("set a.b to 'y'"));
    context.synced();
    context.apply(change_in("rollback"));
    context.synced();
    BOOST_TEST(value("a.b") == "x");
}

BOOST_AUTO_TEST_CASE(a_new_session_has_an_empty_digest)
{
    BOOST_TEST(context.digest().empty());
    BOOST_TEST(context.is_known());
    BOOST_TEST(context.effects() == 0);
}

BOOST_AUTO_TEST_CASE(set_stays_until_it_is_reset)
{
    run("set a.b = x");
    BOOST_TEST(value("a.b") == "x");
    BOOST_TEST(context.effects() == kind::settings);
    run({"begin", "set a.b = y", "commit"});
    BOOST_TEST(value("a.b") == "y");
    run("reset a.b");
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(context.digest().empty());
    BOOST_TEST(context.effects() == 0);
}

BOOST_AUTO_TEST_CASE(set_in_a_transaction_that_rolls_back_is_undone)
{
    run({"set a.b = x", "begin", "set a.b = y", "set c.d = z"});
    BOOST_TEST(value("a.b") == "y");
    run("rollback");
    BOOST_TEST(value("a.b") == "x");
    BOOST_TEST(value("c.d") == "-");
}

BOOST_AUTO_TEST_CASE(set_local_ends_with_its_transaction)
{
    for (auto* end : {"commit", "rollback"}) {
        run({"begin", "set local a.b = x"});
        BOOST_TEST(value("a.b") == "x");
        run(end);
        BOOST_TEST(value("a.b") == "-");
        BOOST_TEST(context.effects() == 0);
    }
    run("set local a.b = x"); // without a transaction: a warning
    BOOST_TEST(value("a.b") == "-");
}

BOOST_AUTO_TEST_CASE(set_local_hides_what_the_session_has)
{
    run({"set a.b = x", "begin", "set local a.b = y"});
    BOOST_TEST(value("a.b") == "y");
    run("set local a.b to default");
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(context.digest().empty());
    run("commit");
    BOOST_TEST(value("a.b") == "x");
    run({"begin", "set local a.b = y", "set a.b = z"});
    BOOST_TEST(value("a.b") == "z");
    run("commit");
    BOOST_TEST(value("a.b") == "z");
}

BOOST_AUTO_TEST_CASE(rolling_back_to_a_savepoint_restores_it)
{
    run({"begin", "set a.b = x", "savepoint s", "set local a.b = y", "savepoint t", "set c.d = z"});
    run("rollback to s");
    BOOST_TEST(value("a.b") == "x");
    BOOST_TEST(value("c.d") == "-");
    run({"set a.b = w", "rollback to s", "commit"});
    BOOST_TEST(value("a.b") == "x");
}

BOOST_AUTO_TEST_CASE(a_released_savepoint_keeps_what_was_set_in_it)
{
    run({"begin", "savepoint s", "set local a.b = x", "savepoint s", "set local a.b = y", "release s"});
    BOOST_TEST(value("a.b") == "y");
    run("rollback to s"); // the outer one of this name
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(context.is_known());
}

BOOST_AUTO_TEST_CASE(a_failed_transaction_undoes_whatever_ends_it)
{
    for (auto* end : {"rollback", "commit"}) {
        run({"begin", "set a.b = x"});
        fail("select 1/0");
        run(end);
        BOOST_TEST(value("a.b") == "-", end);
    }
    run({"begin", "set a.b = x", "savepoint s", "set a.b = y"});
    fail("select 1/0");
    run({"rollback to s", "commit"});
    BOOST_TEST(value("a.b") == "x");
}

BOOST_AUTO_TEST_CASE(a_failure_undoes_the_series_that_it_is_in)
{
    context.apply(change_in("set a.b = x"));
    context.failed();
    ready();
    BOOST_TEST(value("a.b") == "-");
    context.apply(change_in("select set_config('a.b', 'x', true)"));
    BOOST_TEST(value("a.b") == "x"); // until the sync
    context.apply(change_in("set c.d = y"));
    ready();
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(value("c.d") == "y");
}

BOOST_AUTO_TEST_CASE(and_chain_keeps_the_modes_of_the_transaction)
{
    run({"begin isolation level serializable", "set local a.b = x", "commit and chain"});
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(value("transaction_isolation") == "serializable");
    run({"set local a.b = x", "rollback and chain"});
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(value("transaction_isolation") == "serializable");
    run("rollback");
    BOOST_TEST(value("transaction_isolation") == "-");
}

BOOST_AUTO_TEST_CASE(reset_all_keeps_the_role)
{
    run({"set a.b = x", "set role r", "reset all"});
    BOOST_TEST(value("a.b") == "-");
    BOOST_TEST(value("role") == "r");
    run("set session authorization default");
    BOOST_TEST(value("role") == "-");
    run({"set role r", "discard all"});
    BOOST_TEST(value("role") == "-");
    BOOST_TEST(context.effects() == 0);
}

BOOST_AUTO_TEST_CASE(reset_all_passes_over_a_hidden_value)
{
    run({"begin", "set a.b = x", "set local a.b to default", "reset all", "commit"});
    BOOST_TEST(value("a.b") == "x");
    run("reset all");
    BOOST_TEST(value("a.b") == "-");
}

BOOST_AUTO_TEST_CASE(another_session_user_is_not_shared)
{
    // The role goes with it, and does not come back with it.
    for (auto* sql : {"set session authorization u", "set local session authorization u"}) {
        run({"set role r", "begin"});
        BOOST_TEST(context.is_known());
        run(sql);
        BOOST_TEST(!context.is_known(), sql);
        run({"rollback"});
        BOOST_TEST(context.is_known());
    }
}

BOOST_AUTO_TEST_CASE(the_unknown_is_undone_by_a_rollback_only)
{
    run({"begin", "do 'x'"});
    BOOST_TEST(!context.is_known());
    run("rollback");
    BOOST_TEST(context.is_known());
    fail("select set_config('a.b', 'x', $1 = 1)");
    BOOST_TEST(context.is_known() == false); // may have committed what it did, as CALL may
    context.restored();
    BOOST_TEST(context.is_known());
    run("call p()");
    run({"reset all", "begin", "commit"});
    BOOST_TEST(!context.is_known());
    BOOST_TEST(context.effects() == kind::settings);
    run("discard all");
    BOOST_TEST(context.is_known());
}

BOOST_AUTO_TEST_CASE(what_may_be_set_locally_ends_with_the_transaction)
{
    run({"begin", "select set_config('a.b', c, true) from t"});
    BOOST_TEST(!context.is_known());
    run("commit");
    BOOST_TEST(context.is_known());
    BOOST_TEST(context.effects() == 0);
    run({"begin", "savepoint s", "select set_config('a.b', c, true) from t", "rollback to s"});
    BOOST_TEST(context.is_known());
    run("select set_config('statement_timeout', c, true) from t"); // it cannot change results
    BOOST_TEST(context.is_known());
}

BOOST_AUTO_TEST_CASE(a_setting_that_is_saved_and_set_back_is_what_it_was)
{
    run({"set timezone to x", "begin"});
    auto before = context.digest();
    run({"select set_config('my.zone', coalesce(current_setting('timezone', true), ''), true), set_config('my.role', "
         "coalesce(current_setting('role', true), ''), true), set_config('timezone', 'y', true), set_config('role', 'r', true)"});
    BOOST_TEST(value("timezone") == "y");
    BOOST_TEST(value("role") == "r");
    run("select set_config('role', current_setting('my.role'), true), set_config('timezone', current_setting('my.zone'), true)");
    BOOST_TEST(value("timezone") == "x");
    BOOST_TEST(value("role") == "-");
    BOOST_TEST(context.is_known());
    run({"set local my.zone to default", "commit"});
    BOOST_TEST(context.digest() == before);
}

BOOST_AUTO_TEST_CASE(a_block_that_ends_unseen_leaves_doubt_about_what_it_set)
{
    run({"begin", "set local a.b = x"});
    context.ready(true);
    BOOST_TEST(context.is_known());
    run({"begin", "set a.b = x"});
    context.ready(true);
    BOOST_TEST(!context.is_known());
    BOOST_TEST(context.effects() == kind::settings);
}

BOOST_AUTO_TEST_CASE(temporary_objects_are_not_shared)
{
    run("create temp table t (a int)");
    BOOST_TEST(!context.is_known());
    run("discard temp");
    BOOST_TEST(context.is_known());
    run({"begin", "create temp table t (a int)", "rollback"});
    BOOST_TEST(context.is_known());
}

BOOST_AUTO_TEST_CASE(the_digest_depends_on_what_can_change_results)
{
    run({"set statement_timeout = 5", "set application_name = x", "set work_mem = 5", "set enable_seqscan = off"});
    BOOST_TEST(context.digest().empty());
    BOOST_TEST(context.effects() == kind::settings);
    for (auto* sql : {"set search_path to x", "set timezone to x", "set role x", "set default_text_search_config = x",
                      "set xmlbinary = hex", "set standard_conforming_strings = off", "set pg_trgm.similarity_threshold = 1",
                      "set row_security = off",
                      "set a.statement_timeout = 5"}) {
        told other;
        other.run(sql);
        BOOST_TEST(!other.context.digest().empty(), sql);
    }
}

BOOST_AUTO_TEST_CASE(prepared_statements_depend_on_what_the_server_applies_once)
{
    for (auto* sql : {"set statement_timeout = 5", "set work_mem = 5", "set search_path to x", "set role x", "set row_security = off",
                      "set app.tenant = x", "set transaction_isolation = serializable"}) {
        told other;
        other.run(sql);
        BOOST_TEST(other.context.parse_settings().empty(), sql);
    }
    for (auto* sql : {"set timezone to x", "set datestyle = dmy", "set intervalstyle = x", "set extra_float_digits = 0",
                      "set bytea_output = escape", "set transform_null_equals = on", "set xmloption = document"}) {
        told other;
        other.run(sql);
        BOOST_TEST(!other.context.parse_settings().empty(), sql);
        other.run("reset all");
        BOOST_TEST(other.context.parse_settings().empty(), sql);
    }
}

BOOST_AUTO_TEST_CASE(digests_of_different_settings_differ)
{
    auto digest = [](std::initializer_list<const char*> all) {
        told other;
        other.run(all);
        return other.context.digest();
    };
    BOOST_TEST(digest({"set a.b = x", "set c.d = y"}) == digest({"set c.d = y", "set a.b = z", "set a.b = x"}));
    BOOST_TEST(digest({"set a.b = x"}) != digest({"set a.b = y"}));
    BOOST_TEST(digest({"set a.b = xy"}) != digest({"set a.bx = y"}));
    BOOST_TEST(digest({"set a.b = ''"}) != digest({}));
    BOOST_TEST(digest({"begin", "set local a.b = x"}) == digest({"set a.b = x"}));
}

BOOST_AUTO_TEST_CASE(the_intended_state_is_no_effect)
{
    run({"set a.b = x", "do 'y'"});
    context.may_leave(kind::listens);
    BOOST_TEST(context.effects() == (kind::settings | kind::listens));
    context.intend();
    BOOST_TEST(context.effects() == 0);
    BOOST_TEST(value("a.b") == "x");
    BOOST_TEST(!context.is_known());
    run("reset a.b");
    BOOST_TEST(context.effects() == kind::settings);
    context.restored();
    BOOST_TEST(value("a.b") == "x");
    BOOST_TEST(context.effects() == 0);
}

// Random statements, compared with a model that copies all values for each savepoint and does nothing else.
BOOST_AUTO_TEST_CASE(transactions_and_savepoints_undo_as_a_copy_of_all_values_does)
{
    struct level
    {
        std::string name, session, local;
    };
    std::mt19937 random(17);
    auto pick = [&](int n) { return std::uniform_int_distribution<>(0, n - 1)(random); };
    for (int round = 0; round < 200; ++round) {
        told t;
        std::string before = "-", session = "-", local;
        std::vector<level> saved;
        for (int i = 0; i < 60; ++i) {
            auto v = std::string(1, static_cast<char>('a' + pick(3)));
            switch (pick(t.in_block ? 8 : 3)) {
            case 0:
                t.run("set a.b = " + v);
                session = v;
                local.clear();
                if (!t.in_block) before = v;
                break;
            case 1:
                t.run("reset a.b");
                session = "-";
                local.clear();
                if (!t.in_block) before = "-";
                break;
            case 2:
                if (t.in_block) break;
                t.run("begin");
                break;
            case 3:
                t.run("set local a.b = " + v);
                local = v;
                break;
            case 4:
                t.run("savepoint " + v);
                saved.push_back({v, session, local});
                break;
            case 5:
            case 6: {
                auto at = saved.size();
                while (at > 0 && saved[at - 1].name != v) --at;
                if (at == 0) break;
                bool back = pick(2) == 0;
                if (back) t.fail("select 1/0");
                t.run((back ? "rollback to " : "release ") + v);
                if (back) {
                    session = saved[at - 1].session;
                    local = saved[at - 1].local;
                }
                saved.resize(back ? at : at - 1);
                break;
            }
            case 7: {
                bool commit = pick(2) == 0;
                t.run(commit ? "commit" : "rollback");
                before = session = commit ? session : before;
                local.clear();
                saved.clear();
            }
            }
            BOOST_REQUIRE(t.value("a.b") == (local.empty() ? session : local));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
