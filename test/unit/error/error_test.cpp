#include "observe/utf8.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <string_view>
#include <type_traits>

using namespace pgcoro;

namespace
{

diagnostics diag(const char* code, const char* severity = "ERROR")
{
    return {.severity = severity, .sqlstate = pgcoro::sqlstate(code), .message = "told by the server"};
}

server_error server_says(const char* code, const char* severity = "ERROR")
{
    return {diag(code, severity), "select 1"};
}

} // namespace

BOOST_AUTO_TEST_SUITE(an_error)

BOOST_AUTO_TEST_CASE(tells_the_whole_story_in_its_what)
{
    const server_error e({.severity = "ERROR",
                          .sqlstate = sqlstates::unique_violation,
                          .message = "duplicate key value violates unique constraint \"account_pkey\"",
                          .detail = "Key (id)=(1) already exists.",
                          .hint = "Choose another.",
                          .context = "SQL function \"f\"",
                          .constraint = "account_pkey",
                          .position = 8},
                         "insert into account values (1)");
    BOOST_TEST(
        std::string(e.what()) ==
        "ERROR 23505 (unique_violation): duplicate key value violates unique constraint \"account_pkey\"\n"
        "  detail: Key (id)=(1) already exists.\n"
        "  hint: Choose another.\n"
        "  context: SQL function \"f\"\n"
        "  constraint: account_pkey\n"
        "  position: 8\n"
        "  statement: insert into account values (1)");
    BOOST_TEST(e.message() == "duplicate key value violates unique constraint \"account_pkey\"");
    BOOST_TEST(e.detail() == "Key (id)=(1) already exists.");
    BOOST_TEST(e.hint() == "Choose another.");
    BOOST_TEST(e.constraint() == "account_pkey");
    BOOST_TEST(e.position() == 8);
    BOOST_TEST(e.sql() == "insert into account values (1)");
    BOOST_TEST(e.severity() == "ERROR");
    BOOST_TEST(e.diag().context == "SQL function \"f\"");
}

BOOST_AUTO_TEST_CASE(has_its_text_for_a_message_when_the_server_said_nothing)
{
    const pool_timeout e("no connection within 30 s");
    BOOST_TEST(e.message() == "no connection within 30 s");
    BOOST_TEST(std::string(e.what()) == "no connection within 30 s");
    BOOST_TEST(!e.sqlstate());
    BOOST_TEST(e.sql() == "");
    BOOST_TEST(e.position() == 0);
    BOOST_TEST((e.code().category() == client_category()));
    BOOST_TEST(e.code().failed());
    BOOST_TEST(!e.code().message().empty());
}

BOOST_AUTO_TEST_CASE(of_an_unknown_class_has_a_headline_without_a_name)
{
    BOOST_TEST(std::string(server_says("QQ123").what()).starts_with("ERROR QQ123: told by the server\n"));
}

BOOST_AUTO_TEST_CASE(shortens_long_texts_of_the_server_and_keeps_them_as_diagnostics)
{
    std::string huge;
    for (int i = 0; i < 1'000'000; ++i) huge += "ü";
    diagnostics d{.severity = "ERROR",
                  .sqlstate = pgcoro::sqlstate("22000"),
                  .message = huge,
                  .detail = huge,
                  .hint = huge,
                  .context = huge,
                  .constraint = huge};
    server_error e(d, huge);
    auto text = [&] { return std::string_view(e.what()); };
    auto line = [](char first) { return "ü … (2000000 bytes)\n  " + std::string(1, first); };
    BOOST_TEST((text().find(line('d')) != std::string::npos)); // behind the message comes the detail
    BOOST_TEST((text().find(line('h')) != std::string::npos));
    BOOST_TEST(text().size() < 11'000u);
    BOOST_TEST(detail::is_valid_utf8(text()));
    for (auto* kept : {&e.message(), &e.detail(), &e.hint(), &e.diag().context, &e.constraint(), &e.sql()})
        BOOST_TEST((*kept == huge));

    auto before = text().size();
    e.add_note(huge);
    BOOST_TEST(text().size() < before + 8'100);
    mapping_error own(huge);
    BOOST_TEST(std::string_view(own.what()).size() < 8'100u);
    BOOST_TEST((own.message() == huge));
}

BOOST_AUTO_TEST_CASE(shortens_a_long_statement_but_not_inside_a_character)
{
    const std::string start(499, 'x');
    std::string sql = start;
    sql.append("ü").append(1000, 'y');
    const std::string what = server_error(diag("42601"), sql).what();
    BOOST_TEST(what.ends_with("statement: xx" + start.substr(2) + " … (1501 bytes)"));

    const std::string fits(500, 'x');
    const server_error whole(diag("42601"), fits);
    BOOST_TEST(std::string_view(whole.what()).ends_with(fits));
    BOOST_TEST(server_error(diag("42601"), sql).sql() == sql);
}

BOOST_AUTO_TEST_CASE(carries_its_sqlstate_as_an_error_code)
{
    const auto e = server_says("40P01");
    BOOST_TEST((e.code() == make_error_code(sqlstates::deadlock_detected)));
    BOOST_TEST((e.code() == condition::retryable_transaction));
}

BOOST_AUTO_TEST_CASE(gains_a_line_from_a_note_and_its_copies_do_not)
{
    auto e = server_says("40P01");
    const auto copy = e;
    e.add_note("after 3 attempts");
    e.add_note("in the night");
    BOOST_TEST(std::string(e.what()) == std::string(copy.what()) + "\n  after 3 attempts\n  in the night");
    BOOST_TEST(e.message() == copy.message());
}

BOOST_AUTO_TEST_CASE(can_be_copied_without_throwing_as_exceptions_must)
{
    static_assert(std::is_nothrow_copy_constructible_v<error>);
    static_assert(std::is_nothrow_copy_constructible_v<server_error>);
    static_assert(std::is_nothrow_copy_constructible_v<connection_error>);
    static_assert(std::is_nothrow_copy_constructible_v<circuit_open>);
}

BOOST_AUTO_TEST_CASE(is_transient_when_the_same_may_succeed_if_done_again)
{
    for (auto* code : {"40001", "40P01", "08006", "57P01", "57P02", "57P03", "53300"})
        BOOST_TEST(server_says(code).is_transient(), code);
    for (auto* code :
         {"23505", "23P01", "55P03", "57014", "25P03", "25P04", "25006", "42601", "22003", "53200", "XX000"})
        BOOST_TEST(!server_says(code).is_transient(), code);
    BOOST_TEST(pool_timeout("x").is_transient());
    BOOST_TEST(circuit_open("x", {}).is_transient());
    BOOST_TEST(!pool_closed("x").is_transient());
    BOOST_TEST(!commit_unknown("x").is_transient());
    BOOST_TEST(!deadline_exceeded("x").is_transient());
    BOOST_TEST(!mapping_error("x").is_transient());
}

BOOST_AUTO_TEST_CASE(of_a_connection_is_transient_unless_waiting_cannot_mend_it)
{
    using enum connection_failure;
    for (auto why : {resolve, refused, timeout, too_many_connections, starting_up, wrong_role, lost, other})
        BOOST_TEST(connection_error(why, "x").is_transient(), to_string(why));
    for (auto why : {options, authentication, no_such_database, tls})
        BOOST_TEST(!connection_error(why, "x").is_transient(), to_string(why));
    const connection_error e(refused, "nobody there");
    BOOST_TEST((e.why() == refused));
    BOOST_TEST(e.invalidates_connection());
    BOOST_TEST(e.invalidates_transaction());
}

BOOST_AUTO_TEST_CASE(invalidates_the_connection_when_the_session_is_over)
{
    BOOST_TEST(server_says("57P01", "FATAL").invalidates_connection());
    BOOST_TEST(server_says("25P03", "FATAL").invalidates_connection());
    BOOST_TEST(server_says("XX000", "PANIC").invalidates_connection());
    BOOST_TEST(server_says("08006").invalidates_connection());
    BOOST_TEST(!server_says("40P01").invalidates_connection());
    BOOST_TEST(!server_says("53200").invalidates_connection());
    BOOST_TEST(!pool_timeout("x").invalidates_connection());
    BOOST_TEST(!mapping_error("x").invalidates_connection());
}

BOOST_AUTO_TEST_CASE(invalidates_the_transaction_when_the_server_reported_it)
{
    BOOST_TEST(server_says("23505").invalidates_transaction());
    BOOST_TEST(server_says("42601").invalidates_transaction());
    BOOST_TEST(commit_unknown("x").invalidates_transaction());
    BOOST_TEST(deadline_exceeded("x").invalidates_transaction());
    BOOST_TEST(!mapping_error("x").invalidates_transaction());
    BOOST_TEST(!pool_closed("x").invalidates_transaction());
}

BOOST_AUTO_TEST_CASE(knows_the_constraint_that_was_violated)
{
    auto d = diag("23503");
    d.constraint = "account_owner_fkey";
    const server_error e(d, "");
    BOOST_TEST(e.is_constraint());
    BOOST_TEST(e.is_constraint("account_owner_fkey"));
    BOOST_TEST(!e.is_constraint("account_pkey"));
    BOOST_TEST(!server_says("40P01").is_constraint());
}

BOOST_AUTO_TEST_CASE(of_a_connection_names_each_cause_differently)
{
    using enum connection_failure;
    std::string all;
    for (auto why : {options, resolve, refused, timeout, tls, authentication, no_such_database,
                     too_many_connections, starting_up, wrong_role, lost, other}) {
        const std::string name(to_string(why));
        BOOST_TEST(!name.empty());
        BOOST_TEST(all.find("|" + name + "|") == all.npos, name);
        all += "|" + name + "|";
    }
}

BOOST_AUTO_TEST_CASE(a_lost_connection_compares_equal_to_its_condition_also_without_a_sqlstate)
{
    using pgcoro::condition;
    using pgcoro::connection_failure;
    auto is = [](connection_failure why, condition what) {
        return pgcoro::connection_error(why, "x").code() == make_error_condition(what);
    };
    BOOST_TEST(is(connection_failure::lost, condition::connection_lost));
    BOOST_TEST(is(connection_failure::timeout, condition::connection_lost));
    BOOST_TEST(is(connection_failure::refused, condition::server_unavailable));
    BOOST_TEST(!is(connection_failure::authentication, condition::server_unavailable));
    BOOST_TEST(!is(connection_failure::authentication, condition::connection_lost));
}

BOOST_AUTO_TEST_SUITE_END()
