#include "multiplexer/transaction_control.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::detail::transaction_control;

BOOST_AUTO_TEST_SUITE(transaction_control_commands)

BOOST_AUTO_TEST_CASE(commands_of_a_transaction_are_recognised)
{
    BOOST_TEST(transaction_control("begin") == "BEGIN");
    BOOST_TEST(transaction_control("START TRANSACTION READ ONLY") == "START");
    BOOST_TEST(transaction_control("Commit;") == "COMMIT");
    BOOST_TEST(transaction_control("end work") == "END");
    BOOST_TEST(transaction_control("rollback to savepoint a") == "ROLLBACK");
    BOOST_TEST(transaction_control("abort") == "ABORT");
    BOOST_TEST(transaction_control("savepoint a") == "SAVEPOINT");
    BOOST_TEST(transaction_control("release a") == "RELEASE");
    BOOST_TEST(transaction_control("prepare transaction 'x'") == "PREPARE TRANSACTION");
}

BOOST_AUTO_TEST_CASE(blanks_and_comments_before_a_command_are_skipped)
{
    BOOST_TEST(transaction_control(" \n\t;begin") == "BEGIN");
    BOOST_TEST(transaction_control("-- of a report\nbegin") == "BEGIN");
    BOOST_TEST(transaction_control("/* a /* nested */ one */begin") == "BEGIN");
    BOOST_TEST(transaction_control("prepare /* for later */ transaction 'x'") == "PREPARE TRANSACTION");
}

BOOST_AUTO_TEST_CASE(other_statements_are_none)
{
    for (auto sql : {"", " ", "--", "/*", "/* begin", "-- begin", "select 1", "select 'begin'", "beginning",
                     "begin_", "\"begin\"", "prepare a as select 1", "commit prepared 'x'",
                     "rollback prepared 'x'", "(select 1)", "endß"})
        BOOST_TEST(transaction_control(sql) == "", sql);
}

BOOST_AUTO_TEST_SUITE_END()
