#include <pgcoro/resilience/backoff.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using pgcoro::backoff;
using pgcoro::jitter;
using duration = backoff::duration;

namespace
{

// Numbers from 0 to below 1.
struct draws
{
    explicit draws(std::uint32_t seed)
        : bits(seed)
    {}
    double operator()() { return std::generate_canonical<double, 53>(bits); }
    std::mt19937 bits;
};

constexpr int last_attempt = std::numeric_limits<int>::max();

std::string refusal(auto make)
{
    try {
        make();
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "accepted";
}

// Least, most and mean of many delays after the same attempt.
struct seen
{
    duration least = duration::max();
    duration most{};
    double mean = 0;
};

seen sample(const backoff& b, int attempt, duration previous = 0ns)
{
    draws rng(42);
    constexpr int times = 20000;
    seen s;
    for (int i = 0; i < times; ++i) {
        const auto d = b.delay(attempt, previous, rng);
        s.least = std::min(s.least, d);
        s.most = std::max(s.most, d);
        s.mean += static_cast<double>(d.count()) / times;
    }
    return s;
}

// Within the two ends, near to both, and in the middle on average: uniform as far as these can tell.
void check_uniform(const seen& s, duration least, duration most)
{
    const auto width = static_cast<double>((most - least).count());
    BOOST_TEST(s.least.count() >= least.count());
    BOOST_TEST(s.most.count() <= most.count());
    BOOST_TEST(static_cast<double>((s.least - least).count()) < 0.01 * width);
    BOOST_TEST(static_cast<double>((most - s.most).count()) < 0.01 * width);
    BOOST_TEST(std::abs(s.mean - static_cast<double>((least + most).count()) / 2) < 0.02 * width);
}

} // namespace

BOOST_AUTO_TEST_SUITE(a_backoff)

BOOST_AUTO_TEST_CASE(doubles_when_exponential_until_its_ceiling)
{
    const auto b = backoff::exponential(100ms, 1s, jitter::none);
    draws rng(1);
    std::vector<duration> delays;
    for (int attempt = 1; attempt <= 6; ++attempt) delays.push_back(b.delay(attempt, 0ns, rng));
    BOOST_TEST((delays == std::vector<duration>{100ms, 200ms, 400ms, 800ms, 1s, 1s}));
}

BOOST_AUTO_TEST_CASE(grows_by_the_factor_it_was_given)
{
    BOOST_TEST((backoff::exponential(10ms, 1h, jitter::none, 3).curve(4) == 270ms));
    BOOST_TEST((backoff::exponential(10ms, 1h, jitter::none, 1).curve(4) == 10ms));
    BOOST_TEST((backoff::linear(10ms, 1h, jitter::none, 0.5).curve(4) == 25ms));
}

BOOST_AUTO_TEST_CASE(grows_by_the_first_delay_when_linear)
{
    const auto b = backoff::linear(100ms, 350ms, jitter::none);
    BOOST_TEST((b.curve(1) == 100ms));
    BOOST_TEST((b.curve(2) == 200ms));
    BOOST_TEST((b.curve(3) == 300ms));
    BOOST_TEST((b.curve(4) == 350ms));
}

BOOST_AUTO_TEST_CASE(stays_the_same_when_fixed)
{
    const auto b = backoff::fixed(70ms);
    draws rng(1);
    for (int attempt : {1, 2, 1000, last_attempt}) BOOST_TEST((b.delay(attempt, 70ms, rng) == 70ms));
}

BOOST_AUTO_TEST_CASE(draws_between_its_ends_when_random)
{
    check_uniform(sample(backoff::random(200ms, 900ms), 3), 200ms, 900ms);
}

BOOST_AUTO_TEST_CASE(follows_its_list_and_repeats_the_last)
{
    const auto b = backoff::list({500ms, 2s, 1s});
    draws rng(1);
    BOOST_TEST((b.delay(1, 0ns, rng) == 500ms));
    BOOST_TEST((b.delay(2, 0ns, rng) == 2s));
    BOOST_TEST((b.delay(3, 0ns, rng) == 1s));
    BOOST_TEST((b.delay(last_attempt, 0ns, rng) == 1s));
    BOOST_TEST((b.ceiling() == 2s));
}

BOOST_AUTO_TEST_CASE(with_full_jitter_is_anything_up_to_the_curve)
{
    check_uniform(sample(backoff::exponential(100ms, 10s, jitter::full), 3), 0ms, 400ms);
    check_uniform(sample(backoff::linear(100ms, 10s, jitter::full), 3), 0ms, 300ms);
    check_uniform(sample(backoff::fixed(100ms, jitter::full), 3), 0ms, 100ms);
    check_uniform(sample(backoff::list({1ms, 60ms}, jitter::full), 3), 0ms, 60ms);
}

BOOST_AUTO_TEST_CASE(with_equal_jitter_is_in_the_upper_half_of_the_curve)
{
    check_uniform(sample(backoff::exponential(100ms, 10s, jitter::equal), 3), 200ms, 400ms);
    check_uniform(sample(backoff::linear(100ms, 10s, jitter::equal), 3), 150ms, 300ms);
    check_uniform(sample(backoff::fixed(100ms, jitter::equal), 3), 50ms, 100ms);
}

BOOST_AUTO_TEST_CASE(with_decorrelated_jitter_is_between_the_first_delay_and_three_times_the_previous)
{
    const auto b = backoff::exponential(100ms, 10s, jitter::decorrelated);
    check_uniform(sample(b, 1), 100ms, 300ms);
    check_uniform(sample(b, 7, 500ms), 100ms, 1500ms);
    check_uniform(sample(backoff::fixed(100ms, jitter::decorrelated), 2, 100ms), 100ms, 300ms);
    BOOST_TEST((sample(b, 2, 9s).most == 10s));
    // A previous delay below a third of the first, as a circuit or another policy may leave, changes nothing.
    BOOST_TEST((sample(b, 2, 1ms).most == 100ms));
}

BOOST_AUTO_TEST_CASE(never_leaves_its_range_whatever_the_attempt_and_the_curve)
{
    draws rng(7);
    auto any = [&](std::int64_t most) {
        return std::uniform_int_distribution<std::int64_t>(0, most)(rng.bits);
    };
    for (int round = 0; round < 20000; ++round) {
        // Of every size, up to the largest there is.
        const auto ceiling = duration(any(std::numeric_limits<std::int64_t>::max()) >> any(62));
        const auto first = duration(any(ceiling.count()));
        const auto j = static_cast<jitter>(any(3));
        const double factor = 1 + static_cast<double>(any(1000)) / 100;
        const backoff all[] = {backoff::exponential(first, ceiling, j, factor),
                               backoff::linear(first, ceiling, j, factor), backoff::fixed(first, j),
                               backoff::random(first, ceiling, j), backoff::list({first, ceiling}, j)};
        const int attempt = static_cast<int>(any(last_attempt) >> any(30));
        for (auto& b : all) {
            const auto d = b.delay(attempt, duration(any(ceiling.count())), rng);
            BOOST_REQUIRE(d >= 0ns);
            BOOST_REQUIRE(d <= b.ceiling());
            if (j == jitter::equal) BOOST_REQUIRE(d >= std::min(first, ceiling) / 2);
            if (j == jitter::decorrelated) BOOST_REQUIRE(d >= first);
        }
    }
}

BOOST_AUTO_TEST_CASE(never_shrinks_along_its_curve)
{
    for (auto& b : {backoff::exponential(3ns, 5min), backoff::exponential(1ms, duration::max()),
                    backoff::linear(1s, duration::max()), backoff::linear(7ms, 10s)}) {
        duration before{};
        for (int attempt = 1; attempt < 2000; ++attempt) {
            const auto now = b.curve(attempt);
            BOOST_REQUIRE(now >= before);
            before = now;
        }
        BOOST_TEST((b.curve(last_attempt) == b.ceiling() || b.ceiling() == duration::max()));
    }
    BOOST_TEST((backoff::exponential(1ns, duration::max()).curve(last_attempt) == duration::max()));
}

BOOST_AUTO_TEST_CASE(takes_an_attempt_below_one_for_the_first)
{
    const auto b = backoff::exponential(100ms, 1s, jitter::none);
    BOOST_TEST((b.curve(0) == 100ms));
    BOOST_TEST((b.curve(std::numeric_limits<int>::min()) == 100ms));
}

BOOST_AUTO_TEST_CASE(of_no_delay_at_all_stays_without_one)
{
    draws rng(1);
    for (auto j : {jitter::none, jitter::full, jitter::equal, jitter::decorrelated})
        BOOST_TEST((backoff::exponential(0ns, 1s, j).delay(last_attempt, 0ns, rng) == 0ns));
}

BOOST_AUTO_TEST_CASE(gives_the_same_delays_for_the_same_seed)
{
    const auto b = backoff::exponential(100ms, 10s);
    draws one(5), two(5);
    for (int attempt = 1; attempt < 20; ++attempt)
        BOOST_TEST((b.delay(attempt, 0ns, one) == b.delay(attempt, 0ns, two)));
}

BOOST_AUTO_TEST_CASE(refuses_what_is_out_of_range_and_names_it)
{
    BOOST_TEST(refusal([] { backoff::exponential(-1ms, 1s); }) ==
               "backoff: first delay must be 0 or more, not -1 ms");
    BOOST_TEST(refusal([] { backoff::linear(2s, 1s); }) ==
               "backoff: first delay must be at most the ceiling of 1 s, not 2 s");
    BOOST_TEST(refusal([] { backoff::exponential(1s, 2s, jitter::none, 0.5); }) ==
               "backoff: factor must be finite and at least 1, not 0.5");
    BOOST_TEST(refusal([] { backoff::linear(1s, 2s, jitter::none, std::nan("")); }) ==
               "backoff: factor must be finite and at least 0, not nan");
    BOOST_TEST(refusal([] { backoff::exponential(1s, 2s, jitter::none, HUGE_VAL); }) ==
               "backoff: factor must be finite and at least 1, not inf");
    BOOST_TEST(refusal([] { backoff::fixed(-5s); }) == "backoff: delay must be 0 or more, not -5 s");
    BOOST_TEST(refusal([] { backoff::random(2s, 1s); }) ==
               "backoff: least delay must be at most the ceiling of 1 s, not 2 s");
    BOOST_TEST(refusal([] { backoff::list({}); }) == "backoff: list of delays must be one to 12 long, not 0");
    BOOST_TEST(refusal([] {
                   backoff::list({1s, -1ns});
               }) == "backoff: delay in the list must be 0 or more, not -1 ns");
}

BOOST_AUTO_TEST_SUITE_END()
