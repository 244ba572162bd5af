#include <pgcoro/observe/alerts.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <stdexcept>

using pgcoro::alert;
using pgcoro::alert_change;
using pgcoro::alert_options;
using pgcoro::alert_severity;
using pgcoro::alerts;
using pgcoro::sample;

namespace
{

// A healthy minute.
sample calm(double time)
{
    sample s;
    s.time = time;
    s.queries = 100;
    s.avg = 0.01;
    s.availability = 1;
    s.cache_hit_ratio = s.longest_lock_wait = std::nan("");
    return s;
}

// What is told of alerts, as "raised connection_use WARNING".
struct listener
{
    explicit listener(alerts& a)
    {
        a.on_change([this](const alert& what, alert_change how) {
            told.push_back(std::string(boost::describe::enum_to_string(how, "?")) + " " + what.name + " " +
                           std::string(to_string(what.severity)));
        });
    }
    std::vector<std::string> told;
};

template <class Change>
std::vector<std::string> told_of(Change change, alert_options options = {})
{
    alerts a(options);
    listener l(a);
    a.evaluate(calm(60));
    auto s = calm(120);
    change(s);
    a.evaluate(s);
    return l.told;
}

using told = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(observe_alerts)

BOOST_AUTO_TEST_CASE(each_threshold_is_where_it_is_said_to_be)
{
    struct
    {
        pgcoro::sample_figure figure;
        double at;     // which is still fine
        double beyond; // which is not
        const char* told;
    } const all[] = {
        {&sample::utilization, 0.8, 0.81, "raised connection_use WARNING"},
        {&sample::avg, 1, 1.01, "raised average_query_time WARNING"},
        {&sample::slow_rate, 0.1, 0.11, "raised slow_query_rate WARNING"},
        {&sample::longest_lock_wait, 1, 1.01, "raised lock_wait WARNING"},
        {&sample::cache_hit_ratio, 0.5, 0.49, "raised cache_hit_ratio INFO"},
        {&sample::transactions_active, 50, 51, "raised active_transactions CRITICAL"},
        {&sample::error_rate, 0.1, 0.11, "raised error_rate CRITICAL"},
        {&sample::availability, 0.95, 0.94, "raised availability CRITICAL"},
        {&sample::breakers_open, 0, 1, "raised breaker_open CRITICAL"},
    };
    for (auto& each : all) {
        BOOST_TEST_CONTEXT(each.told)
        {
            BOOST_TEST(told_of([&](sample& s) { s.*each.figure = each.at; }).empty());
            auto got = told_of([&](sample& s) { s.*each.figure = each.beyond; });
            BOOST_TEST(got == told{each.told}, boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_replica_that_stays_unusable_is_told_at_the_fifth_sample)
{
    alerts a;
    listener l(a);
    for (int i = 1; i <= 5; ++i) {
        BOOST_TEST(l.told.empty());
        auto s = calm(60 * i);
        s.replicas_unusable = 1;
        a.evaluate(s);
    }
    BOOST_TEST(l.told == told{"raised replica_unusable WARNING"}, boost::test_tools::per_element());
    a.evaluate(calm(360));
    BOOST_TEST(l.told.back() == "cleared replica_unusable WARNING");
}

BOOST_AUTO_TEST_CASE(strict_means_half_a_second)
{
    alert_options strict;
    strict.rules = alert_options::strict();
    BOOST_TEST(told_of([](sample& s) { s.avg = 0.51; }).empty());
    BOOST_TEST(told_of([](sample& s) { s.avg = 0.51; }, strict) == told{"raised average_query_time WARNING"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(shares_of_few_statements_say_nothing)
{
    auto few = [](sample& s) {
        s.queries = 9;
        s.error_rate = 1;
        s.slow_rate = 1;
        s.avg = 99;
    };
    BOOST_TEST(told_of(few).empty());
}

BOOST_AUTO_TEST_CASE(an_alert_is_told_at_its_edges_only_and_swings_within_the_band_are_not)
{
    alerts a;
    listener l(a);
    double time = 0;
    for (double use : {0.5, 0.85, 0.9, 0.78, 0.82, 0.75, 0.85, 0.69, 0.75, 0.79, 0.81}) {
        auto s = calm(time += 60);
        s.utilization = use;
        a.evaluate(s);
    }
    told wanted{"raised connection_use WARNING", "cleared connection_use WARNING",
                "raised connection_use WARNING"};
    BOOST_TEST(l.told == wanted, boost::test_tools::per_element());
    BOOST_REQUIRE(a.active().size() == 1u);
    BOOST_TEST(a.active()[0].raised == 2u);
    BOOST_TEST(a.active()[0].count == 5u);
    BOOST_TEST(a.active()[0].since == 660);
}

BOOST_AUTO_TEST_CASE(what_is_not_known_neither_raises_nor_clears)
{
    alerts a;
    listener l(a);
    auto s = calm(60);
    s.availability = 0.5;
    a.evaluate(s);
    s.time = 120;
    s.availability = std::nan("");
    a.evaluate(s);
    BOOST_TEST(l.told.size() == 1u);
    BOOST_TEST(a.active().size() == 1u);
}

BOOST_AUTO_TEST_CASE(several_in_a_row_can_be_asked_for)
{
    alert_options o;
    o.rules = {o.rules.at(0)};
    o.rules[0].raise_after = 3;
    o.rules[0].clear_after = 2;
    alerts a(o);
    listener l(a);
    double time = 0;
    auto see = [&](double use) {
        auto s = calm(time += 60);
        s.utilization = use;
        a.evaluate(s);
        return l.told.size();
    };
    BOOST_TEST(see(0.9) == 0u);
    BOOST_TEST(see(0.9) == 0u);
    BOOST_TEST(see(0.1) == 0u); // not in a row
    BOOST_TEST(see(0.9) == 0u);
    BOOST_TEST(see(0.9) == 0u);
    BOOST_TEST(see(0.9) == 1u);
    BOOST_TEST(see(0.1) == 1u);
    BOOST_TEST(see(0.1) == 2u);
}

BOOST_AUTO_TEST_CASE(repeated_alerts_are_counted_and_escalate)
{
    alert_options o;
    o.escalate_after = 3;
    alerts a(o);
    listener l(a);
    double time = 0;
    for (int i = 0; i < 9; ++i) {
        auto s = calm(time += 60);
        s.cache_hit_ratio = 0.1;
        a.evaluate(s);
    }
    told wanted{"raised cache_hit_ratio INFO", "escalated cache_hit_ratio WARNING",
                "escalated cache_hit_ratio CRITICAL"};
    BOOST_TEST(l.told == wanted, boost::test_tools::per_element());
    BOOST_TEST(a.active().at(0).count == 9u);
}

BOOST_AUTO_TEST_CASE(coming_back_counts_too_until_it_is_forgotten)
{
    alert_options o;
    o.escalate_after = 3;
    o.forget_after = 600;
    alerts a(o);
    listener l(a);
    double time = 0;
    auto once = [&] {
        auto s = calm(time += 60);
        s.utilization = 0.9;
        a.evaluate(s);
        a.evaluate(calm(time += 60));
        return l.told.at(l.told.size() - 2);
    };
    BOOST_TEST(once() == "raised connection_use WARNING");
    BOOST_TEST(once() == "raised connection_use WARNING");
    BOOST_TEST(once() == "raised connection_use CRITICAL");
    BOOST_TEST(a.all().size() == 1u);
    BOOST_TEST(a.active().empty());
    time += 1'000;
    a.evaluate(calm(time));
    BOOST_TEST(a.all().empty());
    BOOST_TEST(once() == "raised connection_use WARNING");
}

BOOST_AUTO_TEST_CASE(a_callback_may_ask_for_the_alerts)
{
    alerts a;
    std::size_t seen = 0;
    a.on_change([&](const alert&, alert_change) { seen = a.active().size(); });
    auto s = calm(60);
    s.breakers_open = 1;
    a.evaluate(s);
    BOOST_TEST(seen == 1u);
}

BOOST_AUTO_TEST_CASE(rules_that_make_no_sense_are_refused_by_name)
{
    auto refused = [](auto change, const std::string& what) {
        alert_options o;
        change(o.rules.at(0));
        BOOST_CHECK_EXCEPTION(alerts{o}, std::invalid_argument, [&](auto& e) {
            return std::string(e.what()).find("'connection_use': " + what) != std::string::npos;
        });
    };
    refused([](auto& r) { r.figure = nullptr; }, "it has no figure");
    refused([](auto& r) { r.clear_at = 0.9; }, "clear_at");
    refused([](auto& r) { r.raise_after = 0; }, "raise_after");
}

BOOST_AUTO_TEST_SUITE_END()
