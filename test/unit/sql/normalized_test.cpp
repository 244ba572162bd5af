// No constant of any kind of statement is shown: in a text, a figure, a span or a scrape.
#include "sql/normalized.hpp"

#include <pgcoro/observe/metrics.hpp>
#include <pgcoro/observe/span_log.hpp>
#ifdef PGCORO_TEST_PROMETHEUS
#include <pgcoro/observe/prometheus.hpp>

#include <prometheus/text_serializer.h>
#endif

#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <pg_query.h>

using pgcoro::sql::normalize;
using pgcoro::sql::without_constants;

namespace
{

struct example
{
    std::string_view kind; // the node that libpg_query makes of it
    std::string_view text; // %s is a literal with the marker in place of a string, 707070707 one of numbers
};

// One or more of each kind of statement that PostgreSQL 15's parser knows.
const std::vector<example> examples{
    {"SelectStmt", "select %s, 707070707, 1.707070707, b'1', * from t where a = %s and b in (%s, 707070707) limit 707070707"},
    {"SelectStmt", "values (%s, 707070707), (null, true)"},
    {"SelectStmt", "with c as (select %s as x) select x from c union select %s order by 1 for update"},
    {"InsertStmt", "insert into t (a) values (%s) on conflict (a) do update set a = %s where t.b = 707070707"},
    {"UpdateStmt", "update t set a = %s, b = -707070707 where c like %s escape '!' returning %s"},
    {"DeleteStmt", "delete from t using u where t.a = %s"},
    {"MergeStmt", "merge into t using u on t.a = %s when matched then update set b = %s"},
    {"AlterTableStmt", "alter table t add column c text default %s, add check (c <> %s)"},
    {"AlterTableStmt", "alter table t add column c int default 707070707"},
    {"AlterDomainStmt", "alter domain d set default %s"},
    {"GrantStmt", "grant select on t to r /* %s */"},
    {"GrantRoleStmt", "grant a to b -- %s"},
    {"AlterDefaultPrivilegesStmt", "alter default privileges grant select on tables to r /* %s */"},
    {"ClosePortalStmt", "close c /* %s */"},
    {"ClusterStmt", "cluster t /* %s */"},
    {"CopyStmt", "copy t from %s with (format csv, delimiter ',', null %s)"},
    {"CopyStmt", "copy (select %s) to program %s"},
    {"CreateStmt", "create table t (a text default %s check (a <> %s), b int default 707070707)"},
    {"CreateStmt", "create table p partition of t for values in (%s, 707070707)"},
    {"DefineStmt", "create aggregate a (text) (sfunc = f, stype = text, initcond = %s)"},
    {"DefineStmt", "create collation c (locale = %s)"},
    {"DropStmt", "drop table t /* %s */"},
    {"TruncateStmt", "truncate t /* %s */"},
    {"CommentStmt", "comment on table t is %s"},
    {"FetchStmt", "fetch 707070707 from c /* %s */"},
    {"IndexStmt", "create index i on t (lower(a || %s)) where a <> %s"},
    {"CreateFunctionStmt",
     "create function f(a text default %s) returns text language sql set x to secretname "
     "as %s"},
    {"CreateFunctionStmt", "create function f() returns text language sql return %s"},
    {"CreateFunctionStmt", "create procedure f() begin atomic insert into t values (%s); end"},
    {"AlterFunctionStmt", "alter function f(text) set x = %s"},
    {"DoStmt", "do %s"},
    {"DoStmt", "do language plpgsql $tag$ begin perform 'MARK-7'; end $tag$"},
    {"RenameStmt", "alter table t rename to u /* %s */"},
    {"RuleStmt", "create rule r as on insert to t do also insert into u values (%s)"},
    {"NotifyStmt", "notify c, %s"},
    {"ListenStmt", "listen c /* %s */"},
    {"UnlistenStmt", "unlisten c /* %s */"},
    {"TransactionStmt", "prepare transaction %s"},
    {"TransactionStmt", "commit prepared %s"},
    {"TransactionStmt", "start transaction isolation level serializable, read only /* %s */"},
    {"ViewStmt", "create view v as select %s as a"},
    {"LoadStmt", "load %s"},
    {"CreateDomainStmt", "create domain d as text default %s check (value <> %s)"},
    {"CreatedbStmt", "create database d with template = %s connection limit = 707070707"},
    {"DropdbStmt", "drop database d /* %s */"},
    {"VacuumStmt", "vacuum (parallel 707070707) t /* %s */"},
    {"ExplainStmt", "explain (analyze, format json) select %s"},
    {"CreateTableAsStmt", "create table t as select %s as a, 707070707"},
    {"CreateTableAsStmt", "create table t as execute p(%s, 707070707)"},
    {"CreateTableAsStmt", "create materialized view v as select %s"},
    {"CreateSeqStmt", "create sequence s start 707070707 /* %s */"},
    {"AlterSeqStmt", "alter sequence s restart 707070707 /* %s */"},
    {"VariableSetStmt", "set x to %s"},
    {"VariableSetStmt", "set x to secretname, 707070707, %s"},
    {"VariableSetStmt", "set time zone %s"},
    {"VariableSetStmt", "set role secretname"},
    {"VariableSetStmt", "set session authorization %s"},
    {"VariableSetStmt", "set local x.y = secretname"},
    {"VariableShowStmt", "show x /* %s */"},
    {"DiscardStmt", "discard all /* %s */"},
    {"CreateTrigStmt",
     "create trigger r before update on t for each row when (old.a <> %s) execute function f(%s)"},
    {"CreatePLangStmt", "create language l handler h /* %s */"},
    {"CreateRoleStmt", "create role r password %s valid until %s connection limit 707070707"},
    {"AlterRoleStmt", "alter user r encrypted password %s"},
    {"DropRoleStmt", "drop role r /* %s */"},
    {"LockStmt", "lock table t /* %s */"},
    {"ConstraintsSetStmt", "set constraints all deferred /* %s */"},
    {"ReindexStmt", "reindex table t /* %s */"},
    {"CheckPointStmt", "checkpoint /* %s */"},
    {"CreateSchemaStmt", "create schema s create view v as select %s as a"},
    {"AlterDatabaseStmt", "alter database d connection limit 707070707 /* %s */"},
    {"AlterDatabaseRefreshCollStmt", "alter database d refresh collation version /* %s */"},
    {"AlterDatabaseSetStmt", "alter database d set x = %s"},
    {"AlterDatabaseSetStmt", "alter database d set x to secretname"},
    {"AlterRoleSetStmt", "alter role r in database d set x to secretname, %s"},
    {"CreateConversionStmt", "create conversion c for %s to %s from f"},
    {"CreateCastStmt", "create cast (a as b) without function /* %s */"},
    {"CreateOpClassStmt", "create operator class c for type t using btree as operator 707070707 < /* %s */"},
    {"CreateOpFamilyStmt", "create operator family f using btree /* %s */"},
    {"AlterOpFamilyStmt", "alter operator family f using btree add operator 707070707 < (a, b) /* %s */"},
    {"PrepareStmt", "prepare p (int) as select $1, %s"},
    {"ExecuteStmt", "execute p(%s, 707070707)"},
    {"DeallocateStmt", "deallocate p /* %s */"},
    {"DeclareCursorStmt", "declare c cursor for select %s"},
    {"CreateTableSpaceStmt", "create tablespace s location %s"},
    {"DropTableSpaceStmt", "drop tablespace s /* %s */"},
    {"AlterObjectDependsStmt", "alter function f(int) depends on extension e /* %s */"},
    {"AlterObjectSchemaStmt", "alter table t set schema s /* %s */"},
    {"AlterOwnerStmt", "alter schema s owner to r /* %s */"},
    {"AlterOperatorStmt", "alter operator + (int, int) set (restrict = f) /* %s */"},
    {"AlterTypeStmt", "alter type t set (storage = plain) /* %s */"},
    {"DropOwnedStmt", "drop owned by r /* %s */"},
    {"ReassignOwnedStmt", "reassign owned by r to q /* %s */"},
    {"CompositeTypeStmt", "create type t as (a numeric(707070707, 2)) /* %s */"},
    {"CreateEnumStmt", "create type t as enum (%s, %s)"},
    {"CreateRangeStmt", "create type t as range (subtype = int) /* %s */"},
    {"AlterEnumStmt", "alter type t add value %s after %s"},
    {"AlterEnumStmt", "alter type t rename value %s to %s"},
    {"AlterTSDictionaryStmt", "alter text search dictionary d (stopwords = %s)"},
    {"AlterTSConfigurationStmt", "alter text search configuration c drop mapping for word /* %s */"},
    {"CreateFdwStmt", "create foreign data wrapper w options (a %s)"},
    {"AlterFdwStmt", "alter foreign data wrapper w options (set a %s)"},
    {"CreateForeignServerStmt",
     "create server s type %s version %s foreign data wrapper w options (host %s)"},
    {"AlterForeignServerStmt", "alter server s version %s options (set host %s)"},
    {"CreateUserMappingStmt", "create user mapping for r server s options (password %s)"},
    {"AlterUserMappingStmt", "alter user mapping for r server s options (set password %s)"},
    {"DropUserMappingStmt", "drop user mapping for r server s /* %s */"},
    {"AlterTableSpaceOptionsStmt", "alter tablespace s set (seq_page_cost = 707070707) /* %s */"},
    {"AlterTableMoveAllStmt", "alter table all in tablespace a set tablespace b /* %s */"},
    {"SecLabelStmt", "security label for p on table t is %s"},
    {"CreateForeignTableStmt", "create foreign table t (a text options (b %s)) server s options (c %s)"},
    {"ImportForeignSchemaStmt", "import foreign schema a from server s into b options (c %s)"},
    {"CreateExtensionStmt", "create extension e version %s"},
    {"AlterExtensionStmt", "alter extension e update to %s"},
    {"AlterExtensionContentsStmt", "alter extension e add table t /* %s */"},
    {"CreateEventTrigStmt",
     "create event trigger e on ddl_command_start when tag in (%s) execute function f()"},
    {"AlterEventTrigStmt", "alter event trigger e disable /* %s */"},
    {"RefreshMatViewStmt", "refresh materialized view v /* %s */"},
    {"AlterSystemStmt", "alter system set primary_conninfo = %s"},
    {"AlterSystemStmt", "alter system set x = secretname"},
    {"CreatePolicyStmt", "create policy p on t using (a = %s) with check (b <> %s)"},
    {"AlterPolicyStmt", "alter policy p on t using (a = %s)"},
    {"CreateTransformStmt",
     "create transform for t language l (from sql with function f(internal)) /* %s */"},
    {"CreateAmStmt", "create access method a type index handler h /* %s */"},
    {"CreatePublicationStmt", "create publication p for table t where (a = %s) with (publish = %s)"},
    {"AlterPublicationStmt", "alter publication p set (publish = %s)"},
    {"CreateSubscriptionStmt", "create subscription s connection %s publication p"},
    {"AlterSubscriptionStmt", "alter subscription s connection %s"},
    {"DropSubscriptionStmt", "drop subscription s /* %s */"},
    {"CreateStatsStmt", "create statistics s on (a || %s), b from t"},
    {"AlterStatsStmt", "alter statistics s set statistics 707070707 /* %s */"},
    {"AlterCollationStmt", "alter collation c refresh version /* %s */"},
    {"CallStmt", "call f(%s, 707070707, a => %s)"},
};

// Every way to write a string; each holds the marker.
constexpr std::string_view literals[] = {
    "'MARK-7'",   "'it''s MARK-7'",         "E'MARK-7 \\' \\n'",  "U&'MARK-7 \\0041'",
    "$$MARK-7$$", "$tag$MARK-7 $$ ' $tag$", "'MARK-6'\n'MARK-7'", "'\xC3\xA9\xE2\x82\xAC MARK-7'",
};

std::string replaced(std::string_view text, std::string_view what, std::string_view by)
{
    std::string made(text);
    for (std::size_t at = 0; (at = made.find(what, at)) != made.npos; at += by.size())
        made.replace(at, what.size(), by);
    return made;
}

std::string with_literal(std::string_view text, std::string_view literal)
{
    return replaced(text, "%s", literal);
}

std::string kind_of(const std::string& text)
{
    auto got = pg_query_parse(text.c_str());
    std::string tree = got.error ? std::string() : got.parse_tree;
    BOOST_TEST(!got.error, text << ": " << (got.error ? got.error->message : ""));
    pg_query_free_parse_result(got);
    auto begin = tree.find("{\"stmt\":{\"");
    if (begin == tree.npos) return {};
    begin += 10;
    return tree.substr(begin, tree.find('"', begin) - begin);
}

bool shows_a_constant(const std::string& text)
{
    for (std::string_view part : {"MARK", "707070707", "secretname", "'"})
        if (text.find(part) != text.npos) return true;
    return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(normalized_statements)

BOOST_AUTO_TEST_CASE(examples_cover_every_kind_of_statement)
{
    // All statements of pg_query.proto. A ReplicaIdentityStmt is part of ALTER TABLE, a ReturnStmt of CREATE
    // FUNCTION; PL/pgSQL's assignments and the two others are no statements of clients.
    std::set<std::string_view> seen;
    for (auto& e : examples) {
        seen.insert(e.kind);
        BOOST_TEST(kind_of(with_literal(e.text, "'x'")) == e.kind, e.text);
    }
    BOOST_TEST(seen.size() == 112u);
}

BOOST_AUTO_TEST_CASE(no_kind_of_statement_shows_a_constant)
{
    for (auto& e : examples)
        for (auto literal : literals) {
            auto text = with_literal(e.text, literal);
            if (e.text.find("/*") != e.text.npos || e.text.find("--") != e.text.npos)
                text = with_literal(e.text, "MARK-7");
            auto shown = normalize(text);
            BOOST_TEST_REQUIRE(shown.has_value(), text);
            BOOST_TEST(!shows_a_constant(shown->text), text << " is shown as " << shown->text);
        }
}

BOOST_AUTO_TEST_CASE(constants_do_not_tell_statements_apart)
{
    for (auto& e : examples) {
        auto one = normalize(with_literal(e.text, "'x'"));
        auto other = normalize(replaced(with_literal(e.text, "'something else'"), "707070707", "1"));
        BOOST_TEST_REQUIRE((one && other), e.text);
        BOOST_TEST(one->id == other->id, e.text);
    }
    BOOST_TEST(normalize("notify a, 'x'")->id != normalize("notify b, 'x'")->id);
}

BOOST_AUTO_TEST_CASE(no_figure_span_or_scrape_shows_a_constant)
{
    pgcoro::metrics metrics({.max_series = 1'000});
    pgcoro::span_log spans({.query_text = true});
    for (auto& e : examples) {
        auto text = with_literal(e.text, e.text.find("/*") == e.text.npos ? "'MARK-7'" : "MARK-7");
        pgcoro::query_event q;
        q.sql = text;
        q.sqlstate = "00000";
        metrics.on_query(q);
        pgcoro::span_event s;
        s.begin.of = pgcoro::span_of::statement;
        s.begin.parent = pgcoro::trace_context::make();
        s.begin.own = s.begin.parent.child();
        s.sql = text;
        spans.on_span(s);
    }
    auto snapshot = metrics.snapshot();
    BOOST_TEST(snapshot.statements.size() > 100u);
    auto written = boost::json::serialize(boost::json::value_from(snapshot)) +
                   boost::json::serialize(boost::json::value_from(spans.all()));
#ifdef PGCORO_TEST_PROMETHEUS
    written += prometheus::TextSerializer().Serialize(
        pgcoro::to_prometheus(snapshot, {.statements = 1'000, .statement_text = 10'000}));
#endif
    for (std::string_view part : {"MARK", "707070707", "secretname"})
        BOOST_TEST(written.find(part) == written.npos, part);
}

BOOST_AUTO_TEST_CASE(the_rest_of_the_text_stays)
{
    BOOST_TEST(without_constants("select $1, 'a', -5 from \"it's\" where b is null") ==
               "select $1, $2, $3 from \"it's\" where b is null");
    BOOST_TEST(without_constants("alter role app password 'geheim'") == "alter role app password $1");
    BOOST_TEST(without_constants("set search_path to tenant_7") == "set search_path to $1");
    BOOST_TEST(without_constants("begin isolation level serializable read only") ==
               "begin isolation level serializable read only");
    BOOST_TEST(without_constants("-- why\nselect /* how */ 1 -- where") == "select $1");
    BOOST_TEST(without_constants("select U&\"d!0061ta\" uescape '!' from t") ==
               "select U&\"d!0061ta\" uescape $1 from t");
}

BOOST_AUTO_TEST_CASE(nothing_is_shown_of_a_text_not_understood)
{
    for (auto text : {"select 'MARK", "what is 'MARK'?", "select 1 'MARK' 2", "select MARK)"})
        BOOST_TEST(without_constants(text) == "", text);
    BOOST_TEST(without_constants(std::string_view("select 1\0'MARK'", 15)) == "");
    // With standard_conforming_strings = off the first literal ends later, and MARK is in a literal.
    BOOST_TEST(without_constants("select 'a\\' as MARK, '") == "");
    BOOST_TEST(without_constants("select '\\', MARK, '\\'") == "");
}

BOOST_AUTO_TEST_SUITE_END()
