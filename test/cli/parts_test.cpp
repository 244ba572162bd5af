// What needs neither a server nor the program.
#include "cli/bars.hpp"
#include "cli/command.hpp"
#include "cli/health_judge.hpp"
#include "cli/lock_tree.hpp"
#include "cli/near_word.hpp"
#include "cli/report.hpp"
#include "cli/target.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/watched.hpp"

#include <CLI/CLI.hpp>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <sstream>

using namespace pgcoro::cli;

namespace
{

// The bytes that a terminal gets without colours.
std::string written(const std::vector<text_line>& lines)
{
    std::ostringstream out;
    terminal(out, "never", 1).write(lines);
    return out.str();
}

std::string share(const char* name)
{
    std::ifstream in(std::string(PGCORO_TEST_SHARE "/") + name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

lock_session waiter(std::int32_t pid, std::vector<std::int32_t> behind, double seconds)
{
    return {pid, std::move(behind), "app", "orders", "active", seconds, "ShareLock on transactionid", ""};
}

// With every command and option: the options' help, and where they belong.
void for_each_option(const std::function<void(const CLI::App&, const CLI::Option&)>& look)
{
    settings s;
    auto app = make_app(s);
    for (auto* sub : app->get_subcommands([](const CLI::App*) { return true; }))
        for (auto* option : sub->get_options()) look(*sub, *option);
    for (auto* option : app->get_options()) look(*app, *option);
}

} // namespace

BOOST_AUTO_TEST_SUITE(parts)

BOOST_AUTO_TEST_CASE(the_distance_of_words_counts_single_mistakes)
{
    BOOST_TEST(distance_of("health", "health") == 0);
    BOOST_TEST(distance_of("helth", "health") == 1);
    BOOST_TEST(distance_of("haelth", "health") == 1); // neighbours swapped
    BOOST_TEST(distance_of("", "abc") == 3);
}

BOOST_AUTO_TEST_CASE(the_near_word_is_the_nearest_and_none_when_all_are_far)
{
    std::vector<std::string> known{"health", "monitor", "locks"};
    BOOST_TEST(near_word("lokcs", known).value() == "locks");
    BOOST_TEST(near_word("moniter", known).value() == "monitor");
    BOOST_TEST(!near_word("vacuum", known));
}

BOOST_AUTO_TEST_CASE(a_chain_of_waiters_is_a_branch_below_who_holds_the_lock)
{
    std::vector<lock_session> all{waiter(1, {}, 9), waiter(2, {1}, 5), waiter(3, {2}, 3)};
    auto roots = make_lock_tree(all);
    BOOST_REQUIRE(roots.size() == 1);
    BOOST_TEST(written(to_lines(roots)) ==
               "process 1, app, 'orders', active for 9.0 s\n"
               "└─ process 2, app, 'orders' waits 5.0 s for ShareLock on transactionid\n"
               "   └─ process 3, app, 'orders' waits 3.0 s for ShareLock on transactionid\n");
}

BOOST_AUTO_TEST_CASE(in_a_queue_each_waiter_stands_once_and_names_the_others_ahead)
{
    std::vector<lock_session> all{waiter(1, {}, 60)};
    std::vector<std::int32_t> ahead{1};
    for (std::int32_t pid = 2; pid <= 40; ++pid) {
        all.push_back(waiter(pid, ahead, 60 - pid));
        ahead.push_back(pid);
    }
    auto text = written(to_lines(make_lock_tree(all)));
    BOOST_TEST(std::ranges::count(text, '\n') == 40);
    BOOST_TEST(
        text.find("process 3, app, 'orders' waits 57.0 s for ShareLock on transactionid, also behind 2\n") !=
        text.npos);
}

BOOST_AUTO_TEST_CASE(waiters_in_a_circle_are_shown_once_below_the_one_that_waits_longest)
{
    std::vector<lock_session> all{waiter(1, {2}, 1), waiter(2, {1}, 2)};
    auto roots = make_lock_tree(all);
    BOOST_REQUIRE(roots.size() == 1);
    BOOST_TEST(roots.front().session->pid == 2);
    BOOST_TEST(roots.front().waiters.size() == 1);
}

BOOST_AUTO_TEST_CASE(durations_are_told_in_units_that_fit)
{
    BOOST_TEST(duration(0.00042) == "0.42 ms");
    BOOST_TEST(duration(0.5) == "500 ms");
    BOOST_TEST(duration(3.42) == "3.4 s");
    BOOST_TEST(duration(125) == "2 min 5 s");
    BOOST_TEST(duration(7'260) == "2 h 1 min");
}

BOOST_AUTO_TEST_CASE(text_is_cut_to_a_number_of_characters)
{
    BOOST_TEST(shortened("äöüß", 3) == "äö…");
    BOOST_TEST(shortened("a\n   b", 20) == "a b");
}

BOOST_AUTO_TEST_CASE(what_a_terminal_obeys_is_cleaned)
{
    BOOST_TEST(cleaned("a\x1b[2J\x07\r\n\tb\x7F") == "a?[2J????b?");
    BOOST_TEST(cleaned("\xC2\x9B"
                       "31m \xC2\xA0") == "?31m \xC2\xA0"); // CSI in one character; a space that stays
    BOOST_TEST(cleaned("\xE2\x80\xAE"
                       "txt.\xE2\x81\xA6 \xE2\x80\xA8") == "?txt.? ?");
    BOOST_TEST(cleaned("\x9B"
                       "31m \xE2\x94\x94 ä") == "\xEF\xBF\xBD"
                                                "31m └ ä");
}

namespace
{

// Escape sequences, a line break with a line that looks like ours, CSI in one byte and in one character, a
// change of the direction of writing, and bytes that are not UTF-8.
const std::string hostile = "x\x1b]0;title\x07\x1b[2J\x1b[35m\r\n  OK        all is well\x9B"
                            "2J\xC2\x9B"
                            "2J\xE2\x80\xAE\xFF\x7F";

bool is_clean(const std::string& bytes, std::size_t lines)
{
    auto text = bytes;
    for (auto code : {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"})
        for (std::size_t at = 0; (at = text.find(code, at)) != text.npos;)
            text.erase(at, std::string(code).size());
    bool only_breaks = static_cast<std::size_t>(std::ranges::count(text, '\n')) == lines;
    std::erase(text, '\n');
    return only_breaks && cleaned(text) == text;
}

} // namespace

BOOST_AUTO_TEST_CASE(hostile_names_reach_no_terminal_and_no_json_raw)
{
    for (auto when : {"never", "always"}) {
        std::ostringstream out;
        terminal to(out, when, 1);

        std::vector<lock_session> sessions{{0, {}, hostile, hostile, hostile, 1, hostile, hostile},
                                           {2, {0}, hostile, hostile, hostile, 1, hostile, hostile}};
        auto roots = make_lock_tree(sessions);
        to.write(to_lines(roots));
        BOOST_TEST(is_clean(out.str(), 2), "locks: " << out.str());

        out.str("");
        report r;
        r.title = "pgcoro health";
        r.target = hostile;
        r.add(
            {.name = hostile, .level = severity::warning, .message = hostile, .advice = "a", .command = "b"});
        print(to, r);
        BOOST_TEST(is_clean(out.str(), 6), "report: " << out.str());

        out.str("");
        watched w;
        w.view.max_connections = 100;
        w.failure = hostile;
        w.view.sessions_by_state[hostile] = 1;
        w.view.long_queries.push_back({1, hostile, hostile, hostile, hostile, hostile, 1, 1, hostile});
        w.view.blocked.push_back({1, {2}, 1, hostile, hostile});
        pgcoro::alert a;
        a.name = a.meaning = hostile;
        told_alert told{1, a, pgcoro::alert_change::raised};
        to.write(one_line(told));
        to.write(one_line(w));
        BOOST_TEST(is_clean(out.str(), 2), "lines: " << out.str());
        for (std::size_t width : {60, 1'000}) {
            out.str("");
            to.write(screen_of(w, hostile, {a}, {told}, width, 100));
            BOOST_TEST(is_clean(out.str(), static_cast<std::size_t>(std::ranges::count(out.str(), '\n'))),
                       "screen: " << out.str());
        }
        out.str("");
        to.write_lines("pgcoro health: " + hostile);
        BOOST_TEST(is_clean(out.str(), 2), "error: " << out.str());

        out.str("");
        to.write_json(to_json(roots));
        to.write_json(to_json(r));
        to.write_json(to_json(w, {a}));
        to.write_json(to_json(told));
        BOOST_TEST(is_clean(out.str(), 4), "json: " << out.str());
        std::istringstream in(out.str());
        for (std::string one; std::getline(in, one);) {
            boost::system::error_code failed;
            boost::json::parse(one, failed);
            BOOST_TEST(!failed, one);
        }
    }
}

BOOST_AUTO_TEST_CASE(json_of_the_command_is_finite)
{
    std::ostringstream out;
    terminal(out, "never", 1)
        .write_json(boost::json::array{std::numeric_limits<double>::infinity(), "\xC2\x9B"});
    BOOST_TEST(out.str() == "[null,\"\\u009b\"]\n");
}

BOOST_AUTO_TEST_CASE(a_report_is_as_bad_as_its_worst_check)
{
    report r;
    r.add({"a", severity::ok, "fine"});
    r.add({"b", severity::info, "so so"});
    BOOST_TEST(r.status() == "HEALTHY");
    BOOST_TEST(r.code() == exit_ok);
    r.add({"c", severity::unknown, "?"});
    BOOST_TEST(r.code() == exit_unknown);
    r.add({"d", severity::warning, "hm"});
    BOOST_TEST(r.code() == exit_warning);
    r.add({"e", severity::critical, "bad"});
    BOOST_TEST(r.status() == "UNHEALTHY");
    BOOST_TEST(r.code() == exit_critical);
    BOOST_TEST(r.message() == "e: bad, and 2 more");
}

BOOST_AUTO_TEST_CASE(a_sick_server_is_judged_by_each_of_its_figures)
{
    pgcoro::server_view v;
    v.max_connections = 100;
    v.reserved_connections = 3;
    v.connections = 96;
    v.xid_age = 1'200'000'000;
    v.longest_lock_wait = 45;
    v.blocked.push_back({12, {11}, 45, "tuple", ""});
    v.idle_in_transaction.push_back({11, "app", "jobs", "", "idle in transaction", "", 400, 500, ""});
    v.cache_hit_ratio = 0.5;
    v.replicas.push_back({"b", "streaming", "async", 5'000, 90});
    report r;
    judge_server(v, r);
    std::map<std::string, severity> levels;
    for (auto& c : r.checks) levels[c.name] = c.level;
    BOOST_TEST((levels["connections"] == severity::critical));
    BOOST_TEST((levels["locks"] == severity::critical));
    BOOST_TEST((levels["long transactions"] == severity::warning));
    BOOST_TEST((levels["cache hit ratio"] == severity::info));
    BOOST_TEST((levels["transaction ids"] == severity::critical));
    BOOST_TEST((levels["replication"] == severity::critical));
    for (auto& c : r.checks) BOOST_TEST((!c.advice.empty()), c.name << " says not what to do");
}

BOOST_AUTO_TEST_CASE(the_histogram_has_a_bar_for_all_that_was_measured)
{
    pgcoro::histogram h;
    for (int i = 0; i < 100; ++i) h.record(std::chrono::microseconds(i < 75 ? 100 : 1'000));
    auto text = written(bars(h, 10));
    BOOST_TEST(text == "    ≤ 0.131 ms      ██████████  75.0 %\n"
                       "    ≤ 0.262 ms                  0.0 %\n"
                       "    ≤ 0.524 ms                  0.0 %\n"
                       "    ≤ 1.049 ms      ███         25.0 %\n");
}

BOOST_AUTO_TEST_CASE(a_screen_fits_the_terminal)
{
    watched w;
    w.view.max_connections = 100;
    for (int i = 0; i < 20; ++i)
        w.view.long_queries.push_back({i, "app", std::string(50, 'x'), "", "active", "", 1, 1, ""});
    auto lines =
        screen_of(w, "database app on a host with a very long name indeed, on port 5432", {}, {}, 60, 12);
    BOOST_TEST(lines.size() == 12);
    for (auto& line : lines) BOOST_TEST(line.plain().size() <= 62u, line.plain()); // bytes: … has three
}

BOOST_AUTO_TEST_CASE(timeout_option_wins_over_the_urls_connect_timeout_and_that_over_the_default)
{
    common_settings s;
    s.url = "postgresql://u@h/d";
    BOOST_TEST(effective_timeout(s) == 5);
    s.url = "postgresql://u@h/d?connect_timeout=20";
    BOOST_TEST(effective_timeout(s) == 20);
    s.timeout = 2;
    s.timeout_chosen = true;
    BOOST_TEST(effective_timeout(s) == 2);
    BOOST_TEST((target_of(s, "health").connect_timeout == std::chrono::seconds(2)));
    s.timeout_chosen = false;
    s.url = "postgresql://u@h/d?connect_timeout=0"; // no limit
    BOOST_TEST(effective_timeout(s) == 3'600);
}

BOOST_AUTO_TEST_CASE(every_option_has_an_example_in_its_help)
{
    int seen = 0;
    for_each_option([&](const CLI::App& c, const CLI::Option& o) {
        if (o.get_lnames().empty() || (o.get_lnames().front() == "help" && c.get_parent())) return;
        ++seen;
        auto at = o.get_description().find("Example: ");
        BOOST_TEST((at != std::string::npos &&
                    o.get_description().find("--" + o.get_lnames().front(), at) != std::string::npos),
                   c.get_name() << " --" << o.get_lnames().front() << ": " << o.get_description());
    });
    BOOST_TEST(seen > 30);
}

BOOST_AUTO_TEST_CASE(the_man_page_and_the_completion_know_every_command_and_option)
{
    auto page = share("pgcoro.1");
    std::erase(page, '\\');
    auto completion = share("pgcoro.bash");
    for_each_option([&](const CLI::App& c, const CLI::Option& o) {
        for (auto& name : o.get_lnames()) {
            BOOST_TEST((page.find("--" + name) != page.npos), "man page: --" << name);
            BOOST_TEST((completion.find("--" + name) != completion.npos), "completion: --" << name);
        }
        BOOST_TEST((page.find(".B " + c.get_name()) != page.npos), "man page: " << c.get_name());
    });
}

BOOST_AUTO_TEST_SUITE_END()
