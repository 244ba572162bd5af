#include "connection/session_change.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using pgcoro::params;
using pgcoro::detail::change_in;
using pgcoro::detail::session_change;
using act = session_change::act;
namespace kind = pgcoro::detail::effect_kind;

namespace
{

int seen(std::string_view sql) { return change_in(sql).seen; }
int suspected(std::string_view sql) { return change_in(sql).suspected; }
int any(std::string_view sql) { return change_in(sql).kinds(); }

// "set a.b=1; begin" …
std::string text_of(const session_change& change)
{
    static constexpr const char* words[] = {"set",    "set local", "reset all",  "discard all", "discard temp",
                                            "begin",  "commit",    "rollback",   "savepoint",   "release",
                                            "back to", "temporary", "unknown",    "unknown local"};
    std::string all;
    for (auto& step : change.steps) {
        if (!all.empty()) all += "; ";
        all += words[static_cast<int>(step.what)];
        if (!step.name.empty()) all += " " + step.name;
        if (step.value || step.copies) all += (step.copies ? "=the value of " : "=") + step.value.value_or("");
        if (step.chain) all += " and chain";
        for (auto number : {step.name_in, step.value_in, step.local_in})
            if (number) all += " $" + std::to_string(number);
    }
    return all;
}
std::string steps(std::string_view sql) { return text_of(change_in(sql)); }
template <class... T>
std::string steps_with(std::string_view sql, const T&... args)
{
    return text_of(with_parameters(change_in(sql), params::of(args...)));
}

} // namespace

BOOST_AUTO_TEST_SUITE(session_change_tests)

BOOST_AUTO_TEST_CASE(what_stays_in_the_session_is_seen_in_the_statement)
{
    BOOST_TEST(seen("SET work_mem = '1MB'") == kind::settings);
    BOOST_TEST(seen("/* so */ set session work_mem to default") == kind::settings);
    BOOST_TEST(seen("set time zone 'UTC'") == kind::settings);
    BOOST_TEST(seen("set role somebody") == kind::settings);
    BOOST_TEST(seen("set session authorization somebody") == kind::settings);
    BOOST_TEST(seen("set session characteristics as transaction read only") == kind::settings);
    BOOST_TEST(seen("reset all") == kind::settings);
    BOOST_TEST(seen("discard all") == kind::settings);
    BOOST_TEST(seen("select pg_catalog.set_config('a.b', $1, false)") == kind::settings);
    BOOST_TEST(seen("with x as (select Set_Config('a.b', 'c', false)) select 1 from x") == kind::settings);
    BOOST_TEST(seen("listen a") == kind::listens);
    BOOST_TEST(seen("create temp table t (a int)") == kind::temporary);
    BOOST_TEST(seen("create temporary view v as select 1") == kind::temporary);
    BOOST_TEST(seen("create temp sequence s") == kind::temporary);
    BOOST_TEST(seen("select 1 as a into temp t") == kind::temporary);
    BOOST_TEST(seen("create local temp table t as select 1 as a") == kind::temporary);
    BOOST_TEST(seen("select pg_advisory_lock($1)") == kind::advisory);
    BOOST_TEST(seen("select 1 where (select pg_try_advisory_lock_shared(1, 2))") == kind::advisory);
    BOOST_TEST(seen("declare c cursor with hold for select 1") == kind::cursors);
    BOOST_TEST(seen("prepare p as select 1") == kind::prepared);
    BOOST_TEST(seen("prepare p as select pg_advisory_lock(1)") == (kind::prepared | kind::advisory));
    BOOST_TEST(seen("select 1; set a.b = 1; begin; listen x; commit") == (kind::settings | kind::listens));
}

BOOST_AUTO_TEST_CASE(what_ends_with_its_transaction_leaves_nothing)
{
    for (auto* sql :
         {"set local work_mem = '1MB'", "set transaction isolation level serializable",
          "set constraints all deferred", "select set_config('a.b', 'c', true)",
          "select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)", "declare c cursor for select 1",
          "create temp table t (a int) on commit drop", "create temp table t on commit drop as select 1 as a",
          "prepare transaction 'x'", "update t set a = 1", "select * from t offset 1",
          "select 'set', 'listen', 'temp' /* prepare */", "alter role r set work_mem = '1MB'",
          "alter table t set (fillfactor = 10)", "unlisten a", "select pg_advisory_unlock_all()", "begin"})
        BOOST_TEST(any(sql) == 0, sql);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_seen_through_is_suspected_by_the_words_in_it)
{
    BOOST_TEST(suspected("do $$ begin perform set_config('a.b', 'c', false); end $$") == kind::settings);
    BOOST_TEST(suspected("do $$ begin execute 'create TEMP table t ()'; end $$") == (kind::temporary | kind::settings));
    BOOST_TEST(suspected("do $$ begin raise notice 'hello'; end $$") == kind::settings);
    BOOST_TEST(suspected("CALL p()") == kind::settings);
    BOOST_TEST(suspected("execute p") == kind::settings);
    BOOST_TEST(any("select a from document") == 0);
    BOOST_TEST(suspected("select set_config('a.b', 'c', $1)") == kind::settings);
    BOOST_TEST(suspected("a new kind of statement, that SETs") == kind::settings);
    BOOST_TEST(suspected("select U&\"set\\005fconfig\"('a.b', 'c', false") == kind::all);
    BOOST_TEST(seen("select U&\"set\\005fconfig\"('a.b', 'c', false)") == kind::settings);
    BOOST_TEST(suspected("set " + std::string(100'000, ' ')) == kind::settings); // too long to be parsed
    std::string deep = "set_config('a.b', 'c', false)";
    for (int i = 0; i < 3000; ++i) deep = "f(" + deep + ")";
    BOOST_TEST((any("select " + deep) & kind::settings) != 0);
}

BOOST_AUTO_TEST_CASE(settings_are_read_with_their_values)
{
    BOOST_TEST(steps("set Work_Mem = '1MB'") == "set work_mem=\x01" "1MB");
    BOOST_TEST(steps("set search_path to tenant_7") == "set search_path=tenant_7");
    BOOST_TEST(steps("set schema 'tenant_7'") == "set search_path=tenant_7");
    BOOST_TEST(steps("set search_path to a, b") == "set search_path=\x01" "a\x01" "b");
    BOOST_TEST(steps("set search_path to 'a, b'") == "set search_path=\x01" "a, b");
    BOOST_TEST(steps("set local a.b = 7") == "set local a.b=7");
    BOOST_TEST(steps("set a.b to default") == "set a.b");
    BOOST_TEST(steps("reset a.b") == "set a.b");
    BOOST_TEST(steps("set time zone local") == "set timezone");
    BOOST_TEST(steps("reset all") == "reset all");
    BOOST_TEST(steps("discard all") == "discard all");
    BOOST_TEST(steps("discard temp") == "discard temp");
    BOOST_TEST(steps("set role r") == "set role=r");
    BOOST_TEST(steps("set local session authorization r") == "set local session_authorization=r");
    BOOST_TEST(steps("set session characteristics as transaction isolation level serializable") ==
               "set default_transaction_isolation=serializable");
    BOOST_TEST(steps("set search_path from current") == "unknown");
    BOOST_TEST(steps("create temp table t (a int)") == "temporary");
    BOOST_TEST(steps("update t set a = 1").empty());
}

BOOST_AUTO_TEST_CASE(one_value_of_a_list_is_not_a_list_of_two)
{
    BOOST_TEST(steps("set search_path to 'a, b'") != steps("set search_path to a, b"));
    BOOST_TEST(steps("set search_path to 'Tenant'") != steps("select set_config('search_path', 'Tenant', false)"));
    BOOST_TEST(steps("set search_path to tenant") == steps("select set_config('search_path', 'tenant', false)"));
}

BOOST_AUTO_TEST_CASE(transaction_control_is_read)
{
    BOOST_TEST(steps("begin") == "begin");
    BOOST_TEST(steps("begin isolation level read committed read only") ==
               "begin; set local transaction_isolation=read committed; set local transaction_read_only=1");
    BOOST_TEST(steps("start transaction") == "begin");
    BOOST_TEST(steps("set transaction isolation level repeatable read") ==
               "set local transaction_isolation=repeatable read");
    BOOST_TEST(steps("set transaction_isolation = serializable") == "set local transaction_isolation=serializable");
    BOOST_TEST(steps("set transaction snapshot 'x'") == "set local transaction_snapshot=x");
    BOOST_TEST(steps("COMMIT") == "commit");
    BOOST_TEST(steps("end; ") == "commit");
    BOOST_TEST(steps("commit and chain") == "commit and chain");
    BOOST_TEST(steps("abort work and chain") == "rollback and chain");
    BOOST_TEST(steps("prepare transaction 'x'") == "commit");
    BOOST_TEST(steps("commit prepared 'x'").empty());
    BOOST_TEST(steps("savepoint a") == "savepoint a");
    BOOST_TEST(steps("SAVEPOINT \"A b\"") == "savepoint A b");
    BOOST_TEST(steps("release a") == "release a");
    BOOST_TEST(steps("rollback to savepoint a") == "back to a");
    BOOST_TEST(steps("rollback work to a;") == "back to a");
}

BOOST_AUTO_TEST_CASE(set_config_is_read_where_it_is_called_once)
{
    BOOST_TEST(steps("select set_config('A.b', 'C d', true)") == "set local a.b=C d");
    BOOST_TEST(steps("select pg_catalog.set_config('a.b', 'c', false), set_config('d.e', null, true)") ==
               "set a.b=c; set local d.e");
    BOOST_TEST(steps("select pg_catalog.set_config($1, $2::text, true)") == "set local $1 $2");
    for (auto* sql : {"select set_config('A.b', 'c', true) from t", "select set_config('a.b', 'c' || 'd', true)",
                      "select set_config('a.b', 'c', true) where false", "select 1, set_config('a.b', 'c', true)",
                      "with x as (select set_config('a.b', 'c', true)) select 1 from x",
                      "explain analyze select set_config('a.b', 'c', true)"})
        BOOST_TEST(steps(sql) == "unknown local a.b", sql);
    BOOST_TEST(steps("select set_config(a, b, true) from t") == "unknown local");
    for (auto* sql : {"select set_config('a.b', 'c', 1 = 1)", "select mine.set_config('a.b', 'c', true)",
                      "select set_config('a.b', 'c', false) from t"})
        BOOST_TEST(steps(sql) == "unknown", sql);
}

BOOST_AUTO_TEST_CASE(set_config_may_copy_another_setting)
{
    BOOST_TEST(steps("select set_config('a.b', current_setting('C.d'), true)") == "set local a.b=the value of c.d");
    BOOST_TEST(steps("select set_config('a.b', coalesce(pg_catalog.current_setting('c.d', true), ''), false)") ==
               "set a.b=the value of c.d");
    BOOST_TEST(steps_with("select set_config($1, current_setting($2), true)", "role", "C.d") ==
               "set local role=the value of c.d");
    BOOST_TEST(steps_with("select set_config('a.b', current_setting($1), true)", nullptr) == "unknown");
    for (auto* sql : {"select set_config('a.b', coalesce(current_setting('c.d', true), 'x'), true)",
                      "select set_config('a.b', current_setting('c' || '.d'), true)",
                      "select set_config('a.b', mine.current_setting('c.d'), true)"})
        BOOST_TEST(steps(sql) == "unknown local a.b", sql);
}

BOOST_AUTO_TEST_CASE(parameters_of_set_config_have_their_values)
{
    constexpr auto* sql = "select pg_catalog.set_config($1, $2, $3)";
    BOOST_TEST(steps_with(sql, "TimeZone", "Asia/Tokyo", true) == "set local timezone=Asia/Tokyo");
    BOOST_TEST(steps_with(sql, "a.b", "c", false) == "set a.b=c");
    BOOST_TEST(steps_with(sql, "a.b", nullptr, false) == "set a.b");
    BOOST_TEST(steps_with(sql, nullptr, "c", false) == "unknown");
    BOOST_TEST(steps_with(sql, "a.b", "c", nullptr) == "unknown");
    BOOST_TEST(steps_with(sql, "a.b", "c") == "unknown");
    BOOST_TEST(steps_with("select set_config($2, $1::text, true)", "c", "a.b") == "set local a.b=c");
}

BOOST_AUTO_TEST_CASE(what_the_library_sends_means_the_same_to_the_parser)
{
    for (auto* sql : {"commit", "rollback", "savepoint pgcoro_1", "release savepoint pgcoro_1",
                      "rollback to savepoint pgcoro_1", "set constraints all immediate"})
        BOOST_TEST(steps(sql) == steps("/* parsed */ " + std::string(sql)), sql);
    BOOST_TEST(change_in("set local statement_timeout = 17").empty());
    BOOST_TEST(!change_in("set local statement_timeout = 17, 18").empty());
}

BOOST_AUTO_TEST_CASE(a_script_is_read_statement_by_statement)
{
    pgcoro::detail::change_memory memory;
    auto changes = memory.of_script("begin; select ';'; set a.b = 1; /* so */ commit;");
    BOOST_REQUIRE(changes.size() == 4u);
    BOOST_TEST(text_of(*changes[0]) == "begin");
    BOOST_TEST(!changes[1]);
    BOOST_TEST(text_of(*changes[2]) == "set a.b=1");
    BOOST_TEST(text_of(*changes[3]) == "commit");
    BOOST_TEST(memory.of("select 1; set a.b = 1")->seen == kind::settings);
    BOOST_TEST(memory.of_script("insert into t values ('a;b'); select 1;").empty());
    BOOST_TEST(memory.of_script("insert into t values (1); call p()").size() == 2u);
    BOOST_TEST(memory.of_script("select 1; -- so\n begin").size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_long_script_is_suspected_rather_than_parsed)
{
    pgcoro::detail::change_memory memory;
    std::string script;
    for (int i = 0; i < 1'000; ++i) script += "set a.b" + std::to_string(i) + " = " + std::string(20, 'x') + ";";
    auto changes = memory.of_script(script);
    BOOST_REQUIRE(changes.size() == 1'000u);
    BOOST_TEST(text_of(*changes.front()) == "set a.b0=" + std::string(20, 'x'));
    BOOST_TEST(text_of(*changes.back()) == "unknown");
    BOOST_TEST(text_of(*memory.of("set a.b999 = " + std::string(20, 'x'))) == "set a.b999=" + std::string(20, 'x'));
}

BOOST_AUTO_TEST_CASE(a_script_is_taken_apart)
{
    auto statements = pgcoro::detail::statements_of("set a.b = ';'; select 1; ; listen x");
    BOOST_REQUIRE(statements.size() == 3u);
    BOOST_TEST(statements[0] == "set a.b = ';'");
    BOOST_TEST(seen(statements[2]) == kind::listens);
    BOOST_TEST(pgcoro::detail::statements_of("not a statement").empty());
}

BOOST_AUTO_TEST_CASE(statements_that_are_not_prepared_are_judged_once_and_alike)
{
    pgcoro::detail::change_memory memory;
    for (int i = 0; i < 1000; ++i) {
        auto sql = "set a.b = " + std::to_string(i % 300);
        BOOST_TEST(memory.of(sql)->seen == kind::settings);
        BOOST_TEST(!memory.of("select " + std::to_string(i)));
    }
}

BOOST_AUTO_TEST_CASE(set_in_update_leaves_nothing)
{
    BOOST_TEST(any("update t set a = 1") == 0);
    BOOST_TEST(any("/* set */ -- set\n update t set a = 1") == 0);
    BOOST_TEST(any("with x as (update t set a = 1 returning a) select a from x") == 0);
    BOOST_TEST(seen("update t set a = set_config('a.b', 'c', false)") == kind::settings);
    BOOST_TEST(seen("update t set a = 1; set a.b = 1; update t set a = 2") == kind::settings);
    BOOST_TEST(seen("/* /* nested */ */ set a.b = 1") == kind::settings);
}

BOOST_AUTO_TEST_CASE(a_large_script_is_judged_statement_by_statement)
{
    std::string script;
    while (script.size() < 60'000) script += "update t set a = a + 1 where id in (1, 2, 3) and a is not null;\n";
    BOOST_TEST(any(script) == 0);
    BOOST_TEST(seen(script + "set a.b = 1") == kind::settings);
    BOOST_TEST(seen("listen x;" + script) == kind::listens);
}

BOOST_AUTO_TEST_SUITE_END()
