#include "sql/transaction_control.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

using pgcoro::sql::control;
using pgcoro::sql::mentions_notify;
using pgcoro::sql::transaction_control;

BOOST_AUTO_TEST_SUITE(transaction_controls)

BOOST_AUTO_TEST_CASE(statements_that_begin_a_transaction_are_seen)
{
    for (auto* sql : {"begin", "BEGIN;", "start transaction isolation level serializable", "-- x\n begin",
                      "select 1; begin"})
        BOOST_TEST((transaction_control(sql) == control::begins), sql);
}

BOOST_AUTO_TEST_CASE(statements_that_end_a_transaction_are_seen)
{
    for (auto* sql : {"commit", "END", "rollback", "abort work", "rollback and chain", "commit and chain",
                      "prepare transaction 'x'", "/* a /* b */ */ commit", "insert into t values (1); commit; select 1",
                      "begin; commit"})
        BOOST_TEST((transaction_control(sql) == control::ends), sql);
}

BOOST_AUTO_TEST_CASE(savepoints_prepared_transactions_and_words_are_none)
{
    for (auto* sql : {"savepoint x", "release x", "rollback to savepoint x", "commit prepared 'x'",
                      "rollback prepared 'x'", "select 'commit'", "prepare q as select 1", "select 'a; commit'",
                      "do $$ begin raise notice 'x'; end $$", "", "  ", "/* open", "--", "endless", "commit 'x"})
        BOOST_TEST((transaction_control(sql) == control::none), sql);
}

BOOST_AUTO_TEST_CASE(notify_is_seen_in_any_case)
{
    BOOST_TEST(mentions_notify("NOTIFY channel"));
    BOOST_TEST(mentions_notify("select pg_notify('c', 'x')"));
    BOOST_TEST(mentions_notify("notify"));
    BOOST_TEST(!mentions_notify("select note from notes"));
    BOOST_TEST(!mentions_notify("notif"));
    BOOST_TEST(!mentions_notify(""));
}

BOOST_AUTO_TEST_SUITE_END()
