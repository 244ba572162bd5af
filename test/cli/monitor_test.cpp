#include "cli/support.hpp"

#include <boost/algorithm/string/replace.hpp>

#include <csignal>
#include <cstdlib>
#include <set>

#include <fcntl.h>
#include <unistd.h>

namespace
{

std::string at(const std::string& uri) { return " --url '" + uri + "'"; }

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

// Statements that wait in vain: one holds a table, one wants it.
struct jam
{
    explicit jam(const pgcoro::testing::server& server)
        : holder(server, "holder")
        , waiter(server, "waiter")
    {
        server.psql("drop table if exists jammed; create table jammed (id int)");
        holder.tell("begin; lock table jammed");
        wait_until(
            [&] {
                return server.psql("select count(*) from pg_locks where relation = 'jammed'::regclass") ==
                       "1";
            },
            "the lock");
        waiter.tell("select * from jammed");
        wait_until([&] { return server.psql("select count(*) from pg_locks where not granted") == "1"; },
                   "the waiter");
    }
    psql_session holder;
    psql_session waiter;
};

// A terminal of its own.
class terminal
{
public:
    explicit terminal(const std::string& command)
        : name_("pgcoro_test_" + std::to_string(::getpid()))
    {
        auto made = tmux("-f /dev/null new-session -d -x 100 -y 40 'env LC_ALL=C.UTF-8 " + command +
                         "; echo ended with $?; sleep 60'");
        BOOST_REQUIRE_MESSAGE(made.code == 0, made.err);
    }
    ~terminal() { tmux("kill-server"); }

    std::string text() const { return tmux("capture-pane -p").out; }
    void key(const char* name) const { tmux(std::string("send-keys ") + name); }

private:
    finished tmux(const std::string& arguments) const
    {
        return run_shell("tmux -u -L " + name_ + " " + arguments);
    }
    std::string name_;
};

// A container may have none (no devpts in it).
boost::test_tools::assertion_result a_terminal_can_be_had(boost::unit_test::test_unit_id)
{
    int main = ::posix_openpt(O_RDWR | O_NOCTTY);
    const char* name = main >= 0 && ::unlockpt(main) == 0 ? ::ptsname(main) : nullptr;
    int other = name ? ::open(name, O_RDWR | O_NOCTTY) : -1;
    boost::test_tools::assertion_result had(other >= 0);
    if (!had) had.message() << "this machine has no pseudo-terminals";
    if (other >= 0) ::close(other);
    if (main >= 0) ::close(main);
    return had;
}

} // namespace

BOOST_AUTO_TEST_SUITE(monitor)

BOOST_AUTO_TEST_CASE(a_line_each_interval_and_a_summary_at_the_end)
{
    pgcoro::testing::server server;
    auto got = pgcoro_command("monitor --interval 0.5 --duration 0.9 --alert-threshold-query 60000" +
                              at(server.uri()));
    BOOST_TEST(got.code == 0, got.out);
    compare_with_golden(got.out, "monitor.txt");
}

BOOST_AUTO_TEST_CASE(each_json_line_is_an_object_and_a_lock_wait_is_an_alert)
{
    auto& server = shared_server();
    jam j(server);
    auto got =
        pgcoro_command("monitor --format json --interval 0.5 --duration 0.9 --alert-threshold-lock-wait 1 "
                       "--alert-threshold-query 60000" +
                       at(server.uri()));
    j.holder.end();
    BOOST_TEST(got.code == 1);
    auto lines = json_lines(got.out);
    BOOST_REQUIRE(lines.size() == 4); // an alert, two looks, the summary
    BOOST_TEST(lines[0].at("alert").at("name").as_string() == "lock wait");
    BOOST_TEST(lines[0].at("alert").at("change").as_string() == "raised");
    BOOST_TEST(lines[1].at("blocked").as_array().size() == 1);
    BOOST_TEST(lines[1].at("transactions_per_second").is_null());
    BOOST_TEST(lines[2].at("transactions_per_second").is_number());
    BOOST_TEST(lines[2].at("alerts").as_array().size() == 1);
    BOOST_TEST(lines[3].at("summary").at("looks").to_number<int>() == 2);
    BOOST_TEST(!has(got.out, "from jammed")); // texts of statements only when asked for
}

BOOST_AUTO_TEST_CASE(long_statements_and_many_connections_are_alerts_by_their_own_thresholds)
{
    auto& server = shared_server();
    psql_session sleeper(server, "sleeper");
    sleeper.tell("select pg_sleep(60)");
    const std::string its = " from pg_stat_activity where application_name = 'sleeper'";
    wait_until([&] { return server.psql("select count(*)" + its + " and state = 'active'") == "1"; },
               "the statement");
    auto got = pgcoro_command("monitor --interval 1 --duration 0.1 --alert-threshold-query 0 "
                              "--alert-threshold-connections 0 --show-queries --format json" +
                              at(server.uri()));
    server.psql("select pg_terminate_backend(pid)" + its);
    BOOST_TEST(got.code == 1);
    auto lines = json_lines(got.out);
    BOOST_REQUIRE(lines.size() == 4); // two alerts, a look, the summary
    std::set<std::string> alerts;
    for (int i = 0; i < 2; ++i) alerts.emplace(lines[i].at("alert").at("name").as_string());
    BOOST_TEST((alerts == std::set<std::string>{"long query", "connections"}));
    BOOST_TEST(lines[2].at("slowest").as_array().at(0).at("query").as_string() == "select pg_sleep(60);");
}

BOOST_AUTO_TEST_CASE(a_server_that_goes_away_and_comes_back_is_an_alert_and_not_an_end)
{
    pgcoro::testing::server server;
    background watching(
        "monitor --interval 0.1 --timeout 0.5 --alert-threshold-query 60000" + at(server.uri()), "away");
    wait_until([&] { return has(watching.output(), "connections"); }, "a first look");
    server.stop(pgcoro::testing::shutdown::immediate);
    wait_until([&] { return has(watching.output(), "CRITICAL raised: no answer"); }, "the alert");
    server.start();
    wait_until([&] { return has(watching.output(), "CRITICAL cleared: no answer"); }, "its end");
    watching.signal(SIGTERM);
    BOOST_TEST(watching.wait() == 2);
    BOOST_TEST(has(watching.output(), "summary: "));
    BOOST_TEST(has(watching.output(), "no answer 1×"));
}

BOOST_AUTO_TEST_CASE(an_interrupt_ends_it_also_while_the_server_hangs)
{
    pgcoro::testing::server server;
    background watching(
        "monitor --interval 0.1 --timeout 600 --alert-threshold-query 60000" + at(server.uri()), "hang");
    wait_until([&] { return has(watching.output(), "connections"); }, "a first look");
    server.pause();
    watching.signal(SIGINT);
    auto code = watching.wait();
    server.resume();
    BOOST_TEST(code == 0);
    BOOST_TEST(has(watching.output(), "summary: "));
}

BOOST_AUTO_TEST_CASE(what_waiting_does_not_mend_ends_it_at_once)
{
    auto got = pgcoro_command("monitor --interval 0.1" + at(shared_server().uri("no_such_database")));
    BOOST_TEST(got.code == 2);
    BOOST_TEST(has(got.err, "does not exist (3D000)"));
    BOOST_TEST(has(got.err, "pgcoro doctor"));
}

BOOST_AUTO_TEST_CASE(on_a_terminal_it_is_a_screen_that_gives_way_to_the_summary,
                     *boost::unit_test::precondition(a_terminal_can_be_had))
{
    auto& server = shared_server();
    jam j(server);
    terminal t(PGCORO_TEST_COMMAND
               " monitor --interval 0.2 --alert-threshold-lock-wait 1 --alert-threshold-query 60000" +
               boost::replace_all_copy(at(server.uri()), "'", "\""));
    wait_until([&] { return has(t.text(), "WARNING lock wait") && has(t.text(), "waits for relation"); },
               "the alert");
    auto screen = t.text();
    for (auto* part : {"pgcoro monitor", "answers", "connections", "sessions", "transactions", "own pool",
                       "alerts", "blocked", "slowest", "Ctrl-C ends"})
        BOOST_TEST(has(screen, part), part << " is not on\n" << screen);
    t.key("C-c");
    wait_until([&] { return has(t.text(), "ended with 1"); }, "the end");
    BOOST_TEST(has(t.text(), "summary: "));
    BOOST_TEST(!has(t.text(), "Ctrl-C ends"), "the screen is still there");
    j.holder.end();
}

BOOST_AUTO_TEST_SUITE_END()
