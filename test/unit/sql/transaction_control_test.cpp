#include "sql/transaction_control.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using pgcoro::sql::control;
using pgcoro::sql::mentions_notify;
using pgcoro::sql::mentions_synchronous_commit;
using pgcoro::sql::transaction_control;

BOOST_AUTO_TEST_SUITE(transaction_controls)

BOOST_AUTO_TEST_CASE(statements_that_begin_a_transaction_are_seen)
{
    for (auto* sql : {"begin", "BEGIN;", "start transaction isolation level serializable", "-- x\n begin",
                      " \n\t;begin", "/* a /* nested */ one */begin", "select 1; begin"})
        BOOST_TEST((transaction_control(sql).what == control::begins), sql);
}

BOOST_AUTO_TEST_CASE(statements_that_end_a_transaction_are_seen)
{
    for (auto* sql : {"commit", "END", "end work", "rollback", "abort work", "rollback and chain",
                      "rollback work", "commit and chain", "prepare transaction 'x'",
                      "prepare /* for later */ transaction 'x'", "/* a /* b */ */ commit", "begin; commit",
                      "insert into t values (1); commit; select 1", "savepoint a; commit"})
        BOOST_TEST((transaction_control(sql).what == control::ends), sql);
}

BOOST_AUTO_TEST_CASE(statements_about_savepoints_are_seen)
{
    for (auto* sql : {"savepoint x", "release x", "RELEASE SAVEPOINT x", "rollback to savepoint x", "rollback to x",
                      "rollback work to x", "rollback transaction to savepoint x"})
        BOOST_TEST((transaction_control(sql).what == control::savepoint), sql);
}

BOOST_AUTO_TEST_CASE(other_statements_are_none)
{
    for (auto* sql : {"", "  ", ";", "--", "/* open", "/* begin", "-- begin", "select 1", "select 'commit'", "beginning",
                      "begin_", "\"begin\"", "endß", "endless", "(select 1)", "prepare q as select 1",
                      "commit prepared 'x'", "rollback prepared 'x'", "select 'a; commit'",
                      "do $$ begin raise notice 'x'; end $$"})
        BOOST_TEST((transaction_control(sql).what == control::none), sql);
}

// Each takes minutes if the time grows with the square of the length.
BOOST_AUTO_TEST_CASE(huge_literals_of_any_kind_are_none)
{
    constexpr std::size_t size = 1'000'000;
    for (std::string piece : {";", ";\n", ";/*", ";--", ";commit/*", "; commit", "x"}) {
        std::string text = "select '";
        while (text.size() < size) text += piece;
        BOOST_TEST((transaction_control(text + "'").what == control::none), piece);
    }
}

BOOST_AUTO_TEST_CASE(control_behind_comments_and_literals_is_seen)
{
    for (auto* sql : {"select 1; -- why\n commit", "select 1;;; /* ; */ ; commit", "select ';/*'; commit; --*/",
                      "select 1;--\r commit"})
        BOOST_TEST((transaction_control(sql).what == control::ends), sql);
}

BOOST_AUTO_TEST_CASE(the_command_is_named)
{
    BOOST_TEST(transaction_control("Commit;").name == "COMMIT");
    BOOST_TEST(transaction_control("start transaction").name == "START TRANSACTION");
    BOOST_TEST(transaction_control("prepare transaction 'x'").name == "PREPARE TRANSACTION");
    BOOST_TEST(transaction_control("rollback to x").name == "ROLLBACK TO");
    BOOST_TEST(transaction_control("select 1").name == "");
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

BOOST_AUTO_TEST_CASE(synchronous_commit_is_seen_in_any_case)
{
    BOOST_TEST(mentions_synchronous_commit("set local synchronous_commit = on"));
    BOOST_TEST(mentions_synchronous_commit("SET LOCAL SYNCHRONOUS_COMMIT TO remote_apply"));
    BOOST_TEST(mentions_synchronous_commit("select set_config('Synchronous_Commit', 'on', true)"));
    BOOST_TEST(mentions_synchronous_commit("synchronous_commit"));
    BOOST_TEST(!mentions_synchronous_commit("select synchronous from y"));
    BOOST_TEST(!mentions_synchronous_commit("synchronous_commi"));
    BOOST_TEST(!mentions_synchronous_commit(""));
}

BOOST_AUTO_TEST_SUITE_END()
