// Which constants depend on the clock when a statement is parsed.
#include "sql/time_words.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

using namespace pgcoro::sql;

namespace
{

const char* const depends[] = {
    "select 'now'::timestamptz",
    "select timestamptz 'now'",
    "select cast('today' as date)",
    "select count(*) from t where at > 'yesterday'",
    "select ' Now '::timestamptz",
    "select 'TOMORROW'::date",
    "select 'today 10:00'::timestamp",
    "select '10:00today'::timestamp",
    "select e'now'::timestamptz",
    "select E'\\nnow'::timestamptz",
    "select E'n\\ow'::timestamptz",
    "select E'\\x6eow'::timestamptz",
    "select E'n\\157w'::timestamptz",
    "select E'\\u006eow'::timestamptz",
    "select U&'\\006eow'::timestamptz",
    "select u&'!006eow' uescape '!'",
    "select $$now$$::timestamptz",
    "select $a$ now $a$::timestamptz",
    "select 'no'\n'w'::timestamptz",
    "select 'no' -- it goes on\n  'w'::timestamptz",
    "select '[yesterday,now)'::tstzrange",
    "select '{today,tomorrow}'::date[]",
    "select '{\"n\\ow\"}'::timestamptz[]",
    "select '(1,no\"w\")'::pair",
    "select 'it''s now'",
    "insert into note values ($1, 'now')",
    "select now(), 'now'",
    "select 'now",
};

const char* const does_not_depend[] = {
    "",
    "select 1",
    "select now(), current_date, \"now\", now from today",
    "select 'unknown', 'snow', 'nowhere', 'todays', 'yesterdays'",
    "select 'no' 'w'",
    "select 'no', 'w'",
    "select 'allballs'::time, 'epoch'::timestamptz, 'infinity'::date",
    "select 'a' ~ '^\\s*\\d+$' from t -- what is today's date",
    "select /* now 'today' */ E'\\'', E'a\\nb'",
    "select '\\xdeadbeef'::bytea, ' ', ''",
    "select a -- 'now'\n, 'b'\n from t",
    "select $1::timestamptz, $2",
    "select interval '1 day' + at from log where level = 'warn' and way = 'day'",
};

} // namespace

BOOST_AUTO_TEST_SUITE(sql_time_words)

BOOST_DATA_TEST_CASE(constant_with_a_time_word_depends_on_the_clock, depends, text)
{
    BOOST_TEST(has_time_constant(text));
}

BOOST_DATA_TEST_CASE(other_texts_do_not_depend_on_the_clock, does_not_depend, text)
{
    BOOST_TEST(!has_time_constant(text));
}

BOOST_AUTO_TEST_CASE(value_with_a_time_word_is_found_in_any_letter_case)
{
    for (auto* value : {"now", "NOW", " Today\t", "tomorrow 04:05", "(a,yesterday]", "04:05now", "n\"o\"w"})
        BOOST_TEST(has_time_word(value), value);
    for (auto* value : {"", "w", "y", "no", "known", "nowt", "2024-01-01", "to day"})
        BOOST_TEST(!has_time_word(value), value);
}

BOOST_AUTO_TEST_SUITE_END()
