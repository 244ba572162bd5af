#include <pgcoro/observe/health.hpp>

#include "unit/resilience/simulated_time.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <deque>
#include <stdexcept>

using namespace pgcoro;
namespace asio = boost::asio;

namespace
{

asio::awaitable<health_check> given(std::deque<bool>& results)
{
    if (results.empty()) throw boost::system::system_error(asio::error::operation_aborted); // as if cancelled
    bool healthy = results.front();
    results.pop_front();
    if (!healthy && results.size() % 2) throw std::runtime_error("no answer");
    co_return health_check{healthy, 0.001, healthy ? "" : "no answer"};
}

// What a monitor announces of these results, as "down after 3".
std::vector<std::string> announced(std::deque<bool> results, health_monitor_options options = {})
{
    test::simulated_time time;
    options.time = &time;
    std::vector<std::string> told;
    auto n = results.size();
    health_monitor monitor([&] { return given(results); },
                           [&](bool healthy, const health_check& last, int in_a_row) {
                               BOOST_TEST(healthy == last.healthy);
                               told.push_back((healthy ? "up after " : "down after ") +
                                              std::to_string(in_a_row));
                           },
                           options);
    BOOST_CHECK_THROW(test::run(monitor.run()), boost::system::system_error);
    BOOST_TEST(time.sleeps.size() == n);
    for (auto each : time.sleeps) BOOST_TEST((each == options.interval));
    return told;
}

using told = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(observe_health)

BOOST_AUTO_TEST_CASE(a_monitor_speaks_after_so_many_failures_in_a_row_and_when_it_is_over)
{
    told wanted{"down after 3", "up after 1"};
    BOOST_TEST(announced({true, false, false, true, false, false, false, false, true, true}) == wanted,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_monitor_that_starts_with_a_dead_server_says_so)
{
    BOOST_TEST(announced({false, false, false}) == told{"down after 3"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(recovery_can_be_asked_to_last)
{
    health_monitor_options o;
    o.failures = 1;
    o.successes = 2;
    told wanted{"down after 1", "up after 2"};
    BOOST_TEST(announced({true, false, true, false, true, true}, o) == wanted,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_monitor_knows_its_last_check)
{
    test::simulated_time time;
    std::deque<bool> results{true, false};
    health_monitor_options o;
    o.time = &time;
    health_monitor monitor([&] { return given(results); }, {}, o);
    BOOST_TEST(monitor.healthy());
    BOOST_CHECK_THROW(test::run(monitor.run()), boost::system::system_error);
    BOOST_TEST(monitor.healthy()); // one failure is none
    BOOST_TEST(!monitor.last().healthy);
    BOOST_TEST(monitor.last().error == "no answer");
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_by_name)
{
    health_monitor_options o;
    o.failures = 0;
    BOOST_CHECK_EXCEPTION(
        health_monitor([]() -> asio::awaitable<health_check> { co_return health_check(); }, {}, o),
        std::invalid_argument,
        [](auto& e) { return std::string(e.what()).find("failures is 0") != std::string::npos; });
}

BOOST_AUTO_TEST_CASE(without_findings_it_is_healthy_with_a_hundred)
{
    health_check up{true, 0.001, {}};
    metrics_snapshot m;
    server_view s;
    s.max_connections = 100;
    auto r = assess({.check = &up, .metrics = &m, .server = &s});
    BOOST_TEST(r.score == 100);
    BOOST_CHECK(r.status == health_status::healthy);
    BOOST_TEST(r.findings.empty());
}

BOOST_AUTO_TEST_CASE(a_database_that_does_not_answer_is_unhealthy_with_zero)
{
    health_check down{false, 5, "connection refused"};
    auto r = assess({.check = &down});
    BOOST_TEST(r.score == 0);
    BOOST_CHECK(r.status == health_status::unhealthy);
    BOOST_TEST(r.findings.at(0).evidence == "connection refused");
    BOOST_TEST(!r.findings.at(0).recommendation.empty());
}

BOOST_AUTO_TEST_CASE(a_warning_degrades_and_many_make_it_unhealthy)
{
    metrics_snapshot m;
    pool_figures p;
    p.name = "orders";
    p.watched = true;
    p.size = p.in_use = 4;
    p.waiting = 9;
    m.pools.push_back(p);
    auto one = assess({.metrics = &m});
    BOOST_TEST(one.score == 85);
    BOOST_CHECK(one.status == health_status::degraded);
    BOOST_TEST(one.findings.at(0).what == "pool 'orders' is exhausted");

    alerts a;
    sample bad;
    bad.time = 60;
    bad.availability = 0.1;
    bad.cache_hit_ratio = 1;
    bad.breakers_open = 1;
    a.evaluate(bad);
    auto more = assess({.metrics = &m, .raised = &a});
    BOOST_TEST(more.score == 100 - 15 - 40 - 40);
    BOOST_CHECK(more.status == health_status::unhealthy);
    BOOST_CHECK(more.findings.front().severity == alert_severity::critical);
    BOOST_CHECK(more.findings.back().severity == alert_severity::warning);
}

BOOST_AUTO_TEST_CASE(each_finding_of_the_server_has_evidence_and_advice)
{
    server_view s;
    s.connections = 96;
    s.max_connections = 100;
    s.reserved_connections = 3;
    s.xid_age = 1'500'000'000;
    s.cache_hit_ratio = 0.2;
    session_view idle;
    idle.pid = 7;
    idle.seconds = 60;
    s.idle_in_transaction.push_back(idle);
    s.blocked.push_back({.pid = 8, .blocked_by = {7}, .seconds = 3});
    s.not_seen.push_back("standbys");
    auto r = assess({.server = &s});
    BOOST_TEST(r.findings.size() == 6u);
    for (auto& f : r.findings) {
        BOOST_TEST(!f.evidence.empty());
        BOOST_TEST(!f.recommendation.empty());
    }
    BOOST_TEST(r.findings.at(0).what == "transaction ids are running out");
}

BOOST_AUTO_TEST_SUITE_END()
