#include "connection/dirt.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using pgcoro::detail::dirt_of;
namespace kind = pgcoro::detail::dirt_kind;

namespace
{

int seen(std::string_view sql) { return dirt_of(sql).seen; }
int suspected(std::string_view sql) { return dirt_of(sql).suspected; }
int any(std::string_view sql) { return dirt_of(sql).any(); }

} // namespace

BOOST_AUTO_TEST_SUITE(dirt_tests)

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

BOOST_AUTO_TEST_CASE(what_ends_with_its_transaction_is_no_dirt)
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
    BOOST_TEST(suspected("do $$ begin execute 'create TEMP table t ()'; end $$") == kind::temporary);
    BOOST_TEST(any("do $$ begin raise notice 'hello'; end $$") == 0);
    BOOST_TEST(suspected("select set_config('a.b', 'c', $1)") == kind::settings);
    BOOST_TEST(suspected("a new kind of statement, that SETs") == kind::settings);
    BOOST_TEST(suspected("select U&\"set\\005fconfig\"('a.b', 'c', false") == kind::all);
    BOOST_TEST(seen("select U&\"set\\005fconfig\"('a.b', 'c', false)") == kind::settings);
    BOOST_TEST(suspected("set " + std::string(100'000, ' ')) == kind::settings); // too long to be parsed
    std::string deep = "set_config('a.b', 'c', false)";
    for (int i = 0; i < 3000; ++i) deep = "f(" + deep + ")";
    BOOST_TEST((any("select " + deep) & kind::settings) != 0);
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
    pgcoro::detail::dirt_memory memory;
    for (int i = 0; i < 1000; ++i) {
        auto sql = "set a.b = " + std::to_string(i % 300);
        BOOST_TEST(memory.of(sql).seen == kind::settings);
        BOOST_TEST(memory.of("select " + std::to_string(i)).any() == 0);
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
