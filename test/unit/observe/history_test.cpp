#include <pgcoro/observe/history.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>

#include <cmath>

using pgcoro::history;
using pgcoro::metrics_snapshot;
using pgcoro::sample;
using pgcoro::trend_direction;
using std::chrono::milliseconds;

namespace
{

sample at(double time, double p95 = 0.01, double queries = 60)
{
    sample s;
    s.time = time;
    s.length = 60;
    s.queries = queries;
    s.p95 = p95;
    s.avg = p95;
    return s;
}

// A day and more of minutes, p95 by `f`.
template <class F>
void fill(history& h, int minutes, F f)
{
    for (int i = 1; i <= minutes; ++i) h.add(at(60.0 * i, f(i)));
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe_history)

BOOST_AUTO_TEST_CASE(holds_a_day_of_minutes_and_no_more)
{
    history h;
    fill(h, 2'000, [](int i) { return i; });
    BOOST_TEST(h.size() == 1'440u);
    auto all = h.all();
    BOOST_TEST(all.front().time == 60.0 * 561);
    BOOST_TEST(all.back().time == 60.0 * 2'000);
    BOOST_TEST(h.last()->time == 60.0 * 2'000);
    BOOST_TEST(h.memory() == 1'440 * sizeof(sample));
    BOOST_TEST(h.memory() <= 400u * 1'024);
}

BOOST_AUTO_TEST_CASE(a_sample_that_is_no_newer_takes_the_place_of_the_last)
{
    history h(3);
    for (int i = 1; i <= 4; ++i) h.add(at(i));
    h.add(at(4, 7));
    h.add(at(3, 8));
    BOOST_TEST(h.size() == 3u);
    BOOST_TEST(h.last()->p95 == 8);
}

BOOST_AUTO_TEST_CASE(a_range_leaves_out_its_beginning_and_has_its_end)
{
    history h;
    fill(h, 10, [](int i) { return i; });
    auto found = h.between(120, 300);
    BOOST_REQUIRE(found.size() == 3u);
    BOOST_TEST(found.front().time == 180);
    BOOST_TEST(found.back().time == 300);
}

BOOST_AUTO_TEST_CASE(a_step_makes_one_of_several)
{
    history h;
    h.add(at(60, 1, 10));
    h.add(at(120, 4, 30));
    auto unknown = at(180, std::nan(""), 0);
    unknown.avg = std::nan("");
    h.add(unknown);
    h.add(at(240, 2, 5));
    auto found = h.between(0, 600, 180);
    BOOST_REQUIRE(found.size() == 2u);
    BOOST_TEST(found[0].time == 180);
    BOOST_TEST(found[0].length == 180);
    BOOST_TEST(found[0].queries == 40);
    BOOST_TEST(found[0].p95 == 4);
    BOOST_TEST(found[0].avg == (1 * 10 + 4 * 30) / 40.0); // weighted by the statements
    BOOST_TEST(found[1].queries == 5);
}

BOOST_AUTO_TEST_CASE(trends_tell_what_rises_falls_and_stands)
{
    auto going = [](auto f) {
        history h;
        fill(h, 60, f);
        return h.trend_of(&sample::p95).going;
    };
    auto noise = [](int i) { return 0.01 * ((i * 7919) % 13 - 6); };
    BOOST_CHECK(going([&](int i) { return 1 + 0.02 * i + noise(i); }) == trend_direction::rising);
    BOOST_CHECK(going([&](int i) { return 3 - 0.02 * i + noise(i); }) == trend_direction::falling);
    BOOST_CHECK(going([&](int i) { return 1 + noise(i); }) == trend_direction::steady);
    BOOST_CHECK(going([](int) { return 1.0; }) == trend_direction::steady);
    BOOST_CHECK(going([](int i) { return i < 59 ? std::nan("") : 1.0; }) == trend_direction::unknown);
}

BOOST_AUTO_TEST_CASE(a_trend_is_the_line_of_least_squares)
{
    history h;
    fill(h, 60, [](int i) { return 1 + i / 60.0; });
    auto t = h.trend_of(&sample::p95, 3'600);
    auto about = boost::test_tools::tolerance(1e-6);
    BOOST_TEST(t.slope == 1.0, about);
    BOOST_TEST(t.last == 2.0, about);
    BOOST_TEST(t.fit == 1.0, about);
}

BOOST_AUTO_TEST_CASE(figures_are_found_by_name)
{
    BOOST_CHECK(pgcoro::figure_named("p95") == &sample::p95);
    BOOST_CHECK(pgcoro::figure_named("nothing") == nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_unknown_is_null_in_json)
{
    auto s = at(60, std::nan(""));
    auto text = boost::json::serialize(boost::json::value_from(std::vector{s}));
    auto back = boost::json::parse(text).as_array().at(0).as_object();
    BOOST_TEST(back.at("p95").is_null());
    BOOST_TEST(back.at("queries").as_double() == 60);
}

BOOST_AUTO_TEST_CASE(a_sample_tells_only_what_came_since_the_last)
{
    metrics_snapshot before;
    before.uptime = 60;
    before.queries.count = 100;
    before.queries.errors = 100;
    pgcoro::histogram h;
    for (int i = 0; i < 100; ++i) h.record(std::chrono::seconds(9));
    before.queries.duration = pgcoro::duration_figures::of(h);
    auto now = before;
    now.time = 1'000;
    now.uptime = 120;
    now.queries.count = 160;
    now.queries.errors = 103;
    now.queries.errors_by_class["server_unavailable"] = 3;
    now.queries.slow = 6;
    for (int i = 0; i < 60; ++i) h.record(milliseconds(10));
    now.queries.duration = pgcoro::duration_figures::of(h);
    pgcoro::pool_figures p;
    p.watched = true;
    p.size = 4;
    p.max_overflow = 4;
    p.in_use = 6;
    p.acquired = 57;
    p.refused = {{"timeout", 3}, {"cancelled", 90}};
    p.timeouts = 3;
    now.pools.push_back(p);
    now.breakers.push_back({.name = "db", .state = "open"});

    auto s = pgcoro::make_sample(&before, now);
    auto about = boost::test_tools::tolerance(1e-9);
    BOOST_TEST(s.time == 1'000);
    BOOST_TEST(s.length == 60);
    BOOST_TEST(s.queries == 60);
    BOOST_TEST(s.query_rate == 1, about);
    BOOST_TEST(s.error_rate == 0.05, about);
    BOOST_TEST(s.slow_rate == 0.1, about);
    BOOST_TEST(s.avg == 0.01, about);
    BOOST_TEST(s.max < 0.011);
    BOOST_TEST(s.utilization == 0.75, about);
    BOOST_TEST(s.acquire_timeouts == 3);
    BOOST_TEST(s.availability == 1 - 6.0 / 120, about); // three waited in vain, three found no server
    BOOST_TEST(s.breakers_open == 1);
    BOOST_TEST(std::isnan(s.longest_lock_wait));
}

BOOST_AUTO_TEST_CASE(a_sample_of_nothing_knows_nothing)
{
    metrics_snapshot now;
    auto s = pgcoro::make_sample(nullptr, now);
    BOOST_TEST(s.queries == 0);
    BOOST_TEST(std::isnan(s.avg));
    BOOST_TEST(std::isnan(s.availability));
    BOOST_TEST(std::isnan(s.utilization));
}

BOOST_AUTO_TEST_CASE(the_cache_hit_ratio_is_of_the_interval_and_of_all_caches)
{
    metrics_snapshot before;
    before.caches.resize(2);
    before.caches[0].hits = 1'000;
    auto now = before;
    BOOST_TEST(std::isnan(make_sample(&before, now).cache_hit_ratio)); // nothing was asked for
    now.caches[0].hits += 2;
    now.caches[0].stale += 1;
    now.caches[0].bypassed += 100;
    now.caches[1].misses += 9;
    BOOST_TEST(make_sample(&before, now).cache_hit_ratio == 0.25);
    BOOST_TEST(std::isnan(make_sample(nullptr, metrics_snapshot()).cache_hit_ratio));
}

BOOST_AUTO_TEST_SUITE_END()
