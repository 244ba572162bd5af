#include <pgcoro/observe/advice.hpp>
#include <pgcoro/observe/anomalies.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <functional>
#include <random>

using namespace pgcoro;
using std::chrono::milliseconds;

namespace
{

// A day of minutes with a daily course and noise, whose last sample is `change`d.
std::vector<anomaly> after_a_day(const std::function<void(sample&)>& change, unsigned seed = 1)
{
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(1, 0.05);
    history h;
    constexpr double minutes_a_day = 24 * 60;
    for (int i = 1; i <= 2'000; ++i) {
        auto course = 2 + std::sin(2 * 3.14159265 * i / minutes_a_day);
        sample s;
        s.time = 60.0 * i;
        s.query_rate = 100 * course * noise(random);
        s.avg = 0.01 * course * noise(random);
        s.p95 = 0.03 * course * noise(random);
        s.acquire_wait_p95 = std::nan("");
        if (i == 2'000) change(s);
        h.add(s);
    }
    return find_anomalies(h);
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe_advice)

BOOST_AUTO_TEST_CASE(a_score_is_that_of_iglewicz_and_hoaglin)
{
    // Median 2.5, distances 1.5 .5 … : MAD 1.
    std::vector<double> usual{1, 1.5, 2, 2.5, 2.5, 2.5, 3, 3.5, 4, 1, 4};
    BOOST_TEST(robust_z_score(12.5, usual) == 0.6745 * 10, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(robust_z_score(-7.5, usual) == -0.6745 * 10, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(robust_z_score(2.5, usual) == 0);
}

BOOST_AUTO_TEST_CASE(outliers_among_the_usual_do_not_hide_another)
{
    std::vector<double> usual{1, 2, 3, 1, 2, 3, 1, 2, 3, 2, 1'000'000};
    BOOST_TEST(robust_z_score(50, usual) > 3.5);
}

BOOST_AUTO_TEST_CASE(what_never_changed_is_judged_by_a_hundredth_of_itself)
{
    std::vector<double> same(20, 100.0);
    BOOST_TEST(robust_z_score(102, same) == 2, boost::test_tools::tolerance(1e-9));
    std::vector<double> zeros(20, 0.0);
    BOOST_TEST(robust_z_score(0, zeros) == 0);
    BOOST_TEST(std::isinf(robust_z_score(1, zeros)));
}

BOOST_AUTO_TEST_CASE(few_values_say_nothing)
{
    std::vector<double> few(9, 1.0);
    few.push_back(std::nan(""));
    BOOST_TEST(std::isnan(robust_z_score(5, few)));
    BOOST_TEST(find_anomalies(history()).empty());
}

BOOST_AUTO_TEST_CASE(a_planted_anomaly_is_found_and_named)
{
    auto found = after_a_day([](sample& s) { s.p95 *= 3; });
    BOOST_REQUIRE(found.size() == 1u);
    BOOST_TEST(found[0].figure == "p95");
    BOOST_TEST(found[0].score > 3.5);
    BOOST_TEST(found[0].compared == 60u);
    auto fewer = after_a_day([](sample& s) { s.query_rate *= 0.2; });
    BOOST_REQUIRE(fewer.size() == 1u);
    BOOST_TEST(fewer[0].figure == "query_rate");
    BOOST_TEST(fewer[0].score < -3.5);
}

BOOST_AUTO_TEST_CASE(an_ordinary_day_has_none)
{
    int days = 0;
    for (unsigned seed = 1; seed <= 20; ++seed) days += !after_a_day([](sample&) {}, seed).empty();
    BOOST_TEST(days <= 1);
}

BOOST_AUTO_TEST_CASE(what_is_usual_at_this_hour_is_none_though_it_is_unusual_in_the_day)
{
    // 2,000 minutes is another hour than 1,440: the course alone differs by a quarter.
    auto found =
        after_a_day([](sample& s) { s.query_rate = 100 * (2 + std::sin(2 * 3.14159265 * 580 / 1'440)); });
    BOOST_TEST(found.empty());
}

BOOST_AUTO_TEST_CASE(pool_size_follows_littles_law)
{
    histogram h;
    pool_figures before;
    auto now = before;
    for (int i = 0; i < 6'000; ++i) h.record(milliseconds(90));
    now.acquired = 6'000;
    now.size = 20;
    now.use_time = duration_figures::of(h);
    auto a = advise_pool_size(before, now, 60);
    BOOST_REQUIRE(a.has_value());
    BOOST_TEST(a->arrivals == 100);
    BOOST_TEST(a->busy == 9, boost::test_tools::tolerance(1e-6));
    BOOST_TEST(a->recommended == 15u); // 9 + 2 · 3
    BOOST_TEST(a->size == 20u);
    BOOST_TEST(!advise_pool_size(now, now, 60));
    BOOST_TEST(!advise_pool_size(before, now, 0));
}

BOOST_AUTO_TEST_CASE(default_timeouts_do_not_contradict_each_other)
{
    for (auto& f : advise_timeouts(pool_options())) BOOST_TEST(f.what == "");
}

BOOST_AUTO_TEST_CASE(timeouts_that_contradict_each_other_are_told_with_their_values)
{
    auto evidence = [](auto change) {
        pool_options o;
        change(o);
        auto found = advise_timeouts(o);
        return found.size() == 1 ? found[0].evidence : std::to_string(found.size()) + " findings";
    };
    using o = pool_options;
    BOOST_TEST(evidence([](o& p) { p.acquire_timeout = milliseconds(9'000); }) ==
               "acquire_timeout 9000 ms, connect_timeout 10000 ms");
    BOOST_TEST(evidence([](o& p) { p.connection.lock_timeout = milliseconds(30'000); }) ==
               "lock_timeout 30000 ms, statement_timeout 30000 ms");
    BOOST_TEST(evidence([](o& p) { p.leak_threshold = milliseconds(60'001); }) ==
               "leak_threshold 60001 ms, idle_in_transaction_session_timeout 60000 ms");
    BOOST_TEST(evidence([](o& p) { p.idle_timeout = std::chrono::hours(1); }) ==
               "idle_timeout 3600000 ms, recycle_after 1800000 ms");
    BOOST_TEST(evidence([](o& p) { p.alive_bypass = milliseconds(30'001); }) ==
               "alive_bypass 30001 ms, ping_after 30000 ms");
    BOOST_TEST(evidence([](o& p) { p.ping_timeout = milliseconds(30'000); }) ==
               "ping_timeout 30000 ms, acquire_timeout 30000 ms");
}

BOOST_AUTO_TEST_CASE(advice_on_timeouts_knows_the_connect_timeout_of_the_uri)
{
    auto evidence = [](const std::string& parameters) {
        pool_options o;
        o.connection = connection_options::from_uri("postgresql://u@h/d?" + parameters);
        o.acquire_timeout = milliseconds(9'000);
        auto found = advise_timeouts(o);
        return found.empty() ? std::string() : found.front().evidence;
    };
    BOOST_TEST(evidence("connect_timeout=2") == "");
    BOOST_TEST(evidence("connect_timeout=20") == "acquire_timeout 9000 ms, connect_timeout 20000 ms");
    BOOST_TEST(evidence("connect_timeout=0") == "acquire_timeout 9000 ms, connect_timeout without limit");
    BOOST_TEST(evidence("service=unknown") == "acquire_timeout 9000 ms, connect_timeout 10000 ms");
}

BOOST_AUTO_TEST_CASE(loops_are_told_from_ten_in_a_row_on)
{
    metrics_snapshot s;
    query_figures q;
    q.text = "insert into t values ($1)";
    q.count = 50;
    q.repeated = 40;
    q.longest_loop = 9;
    s.statements.push_back(q);
    BOOST_TEST(advise_loops(s).empty());
    s.statements[0].longest_loop = 10;
    auto found = advise_loops(s);
    BOOST_REQUIRE(found.size() == 1u);
    BOOST_TEST(
        found[0].evidence ==
        "up to 10 times in a row on one lease, 40 of 50 times behind itself: insert into t values ($1)");
}

BOOST_AUTO_TEST_SUITE_END()
