#include <pgcoro/observe/histogram.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using pgcoro::histogram;
using pgcoro::detail::buckets;
using std::chrono::nanoseconds;

namespace
{

// The value of that rank, by sorting.
std::int64_t exact(std::vector<std::int64_t> values, double q)
{
    std::sort(values.begin(), values.end());
    auto rank = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(q * values.size())));
    return values[rank - 1];
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe_histogram)

BOOST_AUTO_TEST_CASE(every_bucket_begins_where_the_one_before_it_ends)
{
    for (std::size_t i = 0; i + 1 < buckets::count; ++i)
        BOOST_REQUIRE(buckets::lower(i) + buckets::width(i) == buckets::lower(i + 1));
    BOOST_TEST(buckets::index(buckets::most) == buckets::count - 1);
    BOOST_TEST(buckets::index(UINT64_MAX) == buckets::count - 1);
}

BOOST_AUTO_TEST_CASE(a_value_is_counted_in_the_bucket_that_holds_it)
{
    for (std::size_t i = 0; i < buckets::count; ++i) {
        BOOST_REQUIRE(buckets::index(buckets::lower(i)) == i);
        BOOST_REQUIRE(buckets::index(buckets::lower(i) + buckets::width(i) - 1) == i);
    }
}

BOOST_AUTO_TEST_CASE(a_single_value_is_told_within_its_bound_over_the_whole_range)
{
    double worst = 0;
    for (double v = 1; v < 1e14; v *= 1.0037) {
        histogram h;
        // With others around it, so that neither least nor greatest gives it away.
        auto value = static_cast<std::int64_t>(v);
        h.record(nanoseconds(0));
        h.record(nanoseconds(value));
        h.record(std::chrono::hours(38));
        auto got = static_cast<double>(h.quantile(0.5).count());
        worst = std::max(worst, std::abs(got - static_cast<double>(value)) / static_cast<double>(value));
    }
    BOOST_TEST(worst <= 1.0 / 64);
    BOOST_TEST(worst > 1.0 / 128); // or the bound says nothing
}

BOOST_AUTO_TEST_CASE(quantiles_of_random_values_are_within_two_percent_of_the_sorted_ones)
{
    std::mt19937_64 random(7);
    std::lognormal_distribution<double> times(std::log(2e6), 1.5);
    histogram h;
    std::vector<std::int64_t> all;
    for (int i = 0; i < 50'000; ++i) {
        auto ns = static_cast<std::int64_t>(times(random));
        all.push_back(ns);
        h.record(nanoseconds(ns));
    }
    for (double q : {0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
        auto wanted = static_cast<double>(exact(all, q));
        BOOST_TEST(std::abs(static_cast<double>(h.quantile(q).count()) - wanted) <= 0.02 * wanted);
    }
}

BOOST_AUTO_TEST_CASE(count_sum_least_and_greatest_are_exact)
{
    histogram h;
    for (int us : {1'234, 17, 90'001}) h.record(std::chrono::microseconds(us));
    BOOST_TEST(h.count() == 3u);
    BOOST_TEST(h.sum().count() == 91'252'000);
    BOOST_TEST(h.min().count() == 17'000);
    BOOST_TEST(h.max().count() == 90'001'000);
    BOOST_TEST(h.mean().count() == 91'252'000 / 3);
}

BOOST_AUTO_TEST_CASE(an_empty_one_tells_zeros)
{
    histogram h;
    BOOST_TEST(h.quantile(0.99).count() == 0);
    BOOST_TEST(h.min().count() == 0);
    BOOST_TEST(h.mean().count() == 0);
    BOOST_TEST(h.count_upto(std::chrono::hours(1)) == 0u);
}

BOOST_AUTO_TEST_CASE(merged_ones_are_as_one_that_counted_all)
{
    histogram a, b, both;
    for (int i = 1; i <= 1'000; ++i) {
        nanoseconds v(i * i * 37);
        (i % 3 ? a : b).record(v);
        both.record(v);
    }
    a.merge(b);
    BOOST_TEST(a.count() == both.count());
    BOOST_TEST(a.sum().count() == both.sum().count());
    BOOST_TEST(a.min().count() == both.min().count());
    BOOST_TEST(a.max().count() == both.max().count());
    for (double q : {0.1, 0.5, 0.95, 0.999}) BOOST_TEST(a.quantile(q).count() == both.quantile(q).count());
}

BOOST_AUTO_TEST_CASE(a_difference_tells_only_what_came_since)
{
    histogram before;
    for (int i = 0; i < 100; ++i) before.record(std::chrono::seconds(5));
    auto now = before;
    for (int i = 0; i < 10; ++i) now.record(std::chrono::milliseconds(2));
    auto since = now.since(before);
    BOOST_TEST(since.count() == 10u);
    BOOST_TEST(since.sum().count() == 20'000'000);
    BOOST_TEST(since.quantile(1).count() < 2'100'000);
    BOOST_TEST(since.max().count() < 2'100'000);
    BOOST_TEST(since.min().count() > 1'900'000);
    BOOST_TEST(now.since(now).count() == 0u);
    BOOST_TEST(now.since(now).max().count() == 0);
}

BOOST_AUTO_TEST_CASE(counts_up_to_a_limit_agree_with_it_to_a_bucket)
{
    histogram h;
    for (int ms = 1; ms <= 1'000; ++ms) h.record(std::chrono::milliseconds(ms));
    for (int limit : {1, 10, 100, 500}) {
        auto n = static_cast<double>(h.count_upto(std::chrono::milliseconds(limit)));
        BOOST_TEST(n >= limit);
        BOOST_TEST(n <= limit * 1.032 + 1);
    }
    BOOST_TEST(h.count_upto(std::chrono::hours(100)) == 1'000u);
}

BOOST_AUTO_TEST_SUITE_END()
