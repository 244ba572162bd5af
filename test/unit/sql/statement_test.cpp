// What a statement's text says about it, and what it does not.
#include "sql/statement.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <ostream>

using namespace pgcoro::sql;

namespace pgcoro::sql
{

std::ostream& operator<<(std::ostream& out, nature n)
{
    constexpr const char* words[] = {"read", "write", "other", "several", "unknown"};
    return out << words[static_cast<int>(n)];
}

} // namespace pgcoro::sql

namespace
{

std::string listed(const std::vector<name>& names)
{
    std::string text;
    for (auto& n : names) {
        if (!text.empty()) text += ' ';
        if (!n.schema.empty()) text += n.schema + '.';
        text += n.object;
    }
    return text;
}

struct meaning
{
    const char* text;
    nature what;
};

std::ostream& operator<<(std::ostream& out, const meaning& m) { return out << m.text; }

const meaning meanings[] = {
    {"select 1", nature::read},
    {"values (1)", nature::read},
    {"table t", nature::read},
    {"with a as (select * from t) select * from a", nature::read},
    {"select * from t for update", nature::write},
    {"select * from (select * from t for share) s", nature::write},
    {"select 1 into x", nature::write},
    {"insert into t values (1)", nature::write},
    {"with gone as (delete from t returning *) select * from gone", nature::write},
    {"with a as (with b as (insert into t values (1) returning 1) select 1) select 1", nature::write},
    {"merge into t using s on true when matched then delete", nature::write},
    {"explain select 1", nature::other},
    {"explain analyze delete from t", nature::other},
    {"call p()", nature::other},
    {"set work_mem = 1", nature::other},
    {"create view v as select 1", nature::other},
    {"copy t from stdin", nature::other},
    {"select 1; delete from t", nature::several},
    {"", nature::several},
    {"selec 1", nature::unknown},
};

} // namespace

BOOST_AUTO_TEST_SUITE(sql_statement)

BOOST_DATA_TEST_CASE(its_nature_is_known_by_its_grammar_and_not_by_its_words, meanings, m)
{
    BOOST_TEST(parse(m.text).nature == m.what);
}

BOOST_AUTO_TEST_CASE(a_text_with_a_nul_is_not_understood)
{
    BOOST_TEST(parse(std::string_view("select 1\0; delete from t", 23)).nature == nature::unknown);
    BOOST_TEST(!fingerprint(std::string_view("select 1\0", 9)));
}

BOOST_AUTO_TEST_CASE(a_text_that_nests_too_deep_is_not_understood)
{
    std::string deep = "select 1";
    for (int i = 0; i < 3'000; ++i) deep = "select (" + deep + ")";
    BOOST_TEST(parse(deep).nature == nature::unknown);
}

BOOST_AUTO_TEST_CASE(tables_are_found_wherever_they_stand)
{
    BOOST_TEST(
        listed(parse("select (select max(x) from a) from b join s.c using (id), lateral (select * from d) e "
                     "where exists (select 1 from \"F\") union select 1 from g")
                   .tables) == "F a b d g s.c");
    auto moved = parse("with m as (delete from a returning *) insert into b select * from m, c");
    BOOST_TEST(listed(moved.tables) == "a b c");
    BOOST_TEST(listed(moved.written) == "a b");
    BOOST_TEST(listed(parse("truncate a, s.b").written) == "a s.b");
}

BOOST_AUTO_TEST_CASE(a_name_of_with_is_no_table_where_it_can_be_seen)
{
    BOOST_TEST(listed(parse("with a as (select * from a) select * from a, s.a").tables) == "a s.a");
    BOOST_TEST(listed(parse("with recursive a as (select 1 union select * from a) select * from a").tables) ==
               "");
    BOOST_TEST(
        listed(parse("with a as (select * from b), b as (select * from a) select 1 from a, b").tables) ==
        "b");
    BOOST_TEST(listed(parse("select * from (with a as (select 1) select * from a) x, a").tables) == "a");
}

BOOST_AUTO_TEST_CASE(functions_and_operators_are_found_by_name)
{
    auto s = parse(
        "select lower(a), s.f(a) operator(s.+) 1 from g(1) where a <> all (select 2) order by a using <");
    BOOST_TEST(listed(s.functions) == "g lower s.f");
    BOOST_TEST(listed(s.operators) == "< <> s.+");
}

BOOST_AUTO_TEST_CASE(dependence_on_the_clock_is_found)
{
    for (auto* text : {"select current_date", "select localtimestamp", "select 'Now'::timestamptz",
                       "select cast(' today ' as date)", "select 1 from t where at > E'\\nyesterday'",
                       "select ('no' || 'w')::timestamptz", "select cast($1 || $2 as date)", "select 'it is now'"})
        BOOST_TEST(parse(text).time_dependent, text);
    for (auto* text : {"select current_user", "select session_user", "select current_schema"})
        BOOST_TEST(!parse(text).time_dependent, text);
    auto plain = parse("select 'unknown', current_date_, '1'::date, $1::date, at::date, (a || 'x')::date, (1 + 1)::text "
                       "from t");
    BOOST_TEST(!plain.time_dependent);
}

BOOST_AUTO_TEST_CASE(settings_that_are_read_are_found_by_name)
{
    auto s = parse("select current_setting('b.c'), pg_catalog.current_setting('a.b'::text, true), current_setting('b.c') from t");
    BOOST_TEST(s.settings == (std::vector<std::string>{"a.b", "b.c"}), boost::test_tools::per_element());
    BOOST_TEST(s.settings_known);
    BOOST_TEST(listed(s.functions) == "current_setting pg_catalog.current_setting");
    for (auto* text : {"select current_setting('work_mem')", "select current_setting($1)", "select current_setting(a) from t",
                       "select current_setting('a.' || 'b')", "select current_setting('a.bc'::varchar(3))",
                       "select current_setting()"})
        BOOST_TEST(!parse(text).settings_known, text);
}

BOOST_AUTO_TEST_CASE(names_behind_a_dot_may_be_functions_of_a_row)
{
    BOOST_TEST(listed(parse("select a, t.b, s.t.c, (t).d, (f(x)).e.g, t.*, (t).* from t where t.b[1] = 1").selected) ==
               "b c d e g t");
}

BOOST_AUTO_TEST_CASE(types_that_are_cast_to_are_found)
{
    BOOST_TEST(listed(parse("select a::int, cast(b as s.x[]), timestamp with time zone '2024-01-01', c::\"Y\"").types) ==
               "Y pg_catalog.int4 pg_catalog.timestamptz s.x");
}

BOOST_AUTO_TEST_CASE(operators_without_a_sign_are_found)
{
    BOOST_TEST(listed(parse("select case a when 1 then 2 end from t").operators) == "=");
    BOOST_TEST(listed(parse("select 1 from t join u using (id)").operators) == "=");
    BOOST_TEST(listed(parse("select 1 from t natural join u").operators) == "=");
    BOOST_TEST(listed(parse("select a not between 1 and 2 from t").operators) == "<= >= NOT BETWEEN");
    BOOST_TEST(listed(parse("select case when a then 1 end from t join u on true").operators) == "");
}

BOOST_AUTO_TEST_CASE(samples_and_places_of_rows_are_not_repeatable)
{
    for (auto* text : {"select * from t tablesample system (1)", "select ctid from t", "select t.xmin from t",
                       "select (select max(x.cmax) from x)"})
        BOOST_TEST(!parse(text).repeatable, text);
    BOOST_TEST(parse("select tableoid, 'ctid' from t").repeatable);
}

BOOST_AUTO_TEST_CASE(a_fingerprint_tells_statements_apart_and_not_their_constants)
{
    BOOST_TEST(*fingerprint("select * from t where a = 1") == *fingerprint("SELECT *  FROM t WHERE a = $1"));
    BOOST_TEST(*fingerprint("select * from t where a = 1") != *fingerprint("select * from t where b = 1"));
    BOOST_TEST(!fingerprint("selec"));
}

BOOST_AUTO_TEST_SUITE_END()
