#include <pgcoro/resilience/retry_budget.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cmath>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using pgcoro::retry_budget;
using pgcoro::retry_budget_options;

namespace
{

constexpr retry_budget::time_point start(1h);

int withdraw_all(retry_budget& b, retry_budget::time_point now)
{
    int n = 0;
    while (b.try_withdraw(now)) ++n;
    return n;
}

} // namespace

BOOST_AUTO_TEST_SUITE(a_retry_budget)

BOOST_AUTO_TEST_CASE(starts_full_and_refuses_when_empty)
{
    retry_budget b({.ratio = 0.1, .min_per_second = 0, .capacity = 5}, start);
    BOOST_TEST(withdraw_all(b, start) == 5);
    BOOST_TEST(!b.try_withdraw(start + 1h));
}

BOOST_AUTO_TEST_CASE(allows_one_retry_for_so_many_successes)
{
    retry_budget b({.ratio = 0.1, .min_per_second = 0, .capacity = 5}, start);
    withdraw_all(b, start);
    for (int i = 0; i < 9; ++i) b.deposit();
    BOOST_TEST(!b.try_withdraw(start));
    b.deposit();
    BOOST_TEST(b.try_withdraw(start));
    BOOST_TEST(!b.try_withdraw(start));
}

BOOST_AUTO_TEST_CASE(brings_in_its_minimum_each_second_without_any_success)
{
    retry_budget b({.ratio = 0, .min_per_second = 4, .capacity = 10}, start);
    withdraw_all(b, start);
    BOOST_TEST(!b.try_withdraw(start + 249ms));
    BOOST_TEST(b.try_withdraw(start + 250ms));
    BOOST_TEST(withdraw_all(b, start + 1250ms) == 4);
}

BOOST_AUTO_TEST_CASE(saves_no_more_than_its_capacity)
{
    retry_budget b({.ratio = 1, .min_per_second = 1, .capacity = 3}, start);
    for (int i = 0; i < 100; ++i) b.deposit();
    BOOST_TEST(b.available(start + 24h) == 3);
    BOOST_TEST(withdraw_all(b, start + 24h) == 3);
}

BOOST_AUTO_TEST_CASE(gains_nothing_from_a_time_before_the_last_one)
{
    retry_budget b({.ratio = 0, .min_per_second = 1, .capacity = 3}, start);
    withdraw_all(b, start + 10s);
    BOOST_TEST(!b.try_withdraw(start));
    BOOST_TEST(!b.try_withdraw(start + 10s + 999ms));
    BOOST_TEST(b.try_withdraw(start + 11s));
}

BOOST_AUTO_TEST_CASE(loses_nothing_to_a_time_before_the_last_one)
{
    retry_budget b({.ratio = 0, .min_per_second = 1, .capacity = 3}, start + 10s);
    BOOST_TEST(b.available(start) == 3);
    BOOST_TEST(b.try_withdraw(start));
}

BOOST_AUTO_TEST_CASE(never_allows_more_than_came_in_over_any_random_history)
{
    std::mt19937 rng(11);
    for (int round = 0; round < 200; ++round) {
        const retry_budget_options options{.ratio = (rng() % 100) / 100.0,
                                           .min_per_second = static_cast<double>(rng() % 20),
                                           .capacity = 1.0 + rng() % 50};
        retry_budget b(options, start);
        auto now = start;
        int successes = 0;
        int retries = 0;
        for (int step = 0; step < 500; ++step) {
            now += std::chrono::milliseconds(rng() % 20);
            if (rng() % 2) {
                b.deposit();
                ++successes;
            } else {
                retries += b.try_withdraw(now);
            }
            const std::chrono::duration<double> passed = now - start;
            const double came_in =
                options.capacity + options.ratio * successes + options.min_per_second * passed.count();
            BOOST_REQUIRE(retries <= came_in + 1e-6);
            BOOST_REQUIRE(b.available(now) >= 0);
            BOOST_REQUIRE(b.available(now) <= options.capacity);
        }
    }
}

BOOST_AUTO_TEST_CASE(gives_each_token_to_one_of_many_threads)
{
    retry_budget b({.ratio = 0.5, .min_per_second = 0, .capacity = 1000}, start);
    std::atomic<int> taken = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) taken += b.try_withdraw(start);
        });
    for (auto& t : threads) t.join();
    BOOST_TEST(taken == 1000);

    threads.clear();
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) b.deposit();
        });
    for (auto& t : threads) t.join();
    BOOST_TEST(withdraw_all(b, start) == 200);
}

BOOST_AUTO_TEST_CASE(refuses_options_out_of_range_and_names_the_field)
{
    auto says = [](std::string text) {
        return [=](const std::invalid_argument& e) { return e.what() == text; };
    };
    BOOST_CHECK_EXCEPTION(retry_budget({.ratio = -0.1}), std::invalid_argument,
                          says("retry budget: ratio must be finite and at least 0, not -0.1"));
    BOOST_CHECK_EXCEPTION(retry_budget({.min_per_second = std::nan("")}), std::invalid_argument,
                          says("retry budget: min_per_second must be finite and at least 0, not nan"));
    BOOST_CHECK_EXCEPTION(retry_budget({.capacity = 0.5}), std::invalid_argument,
                          says("retry budget: capacity must be finite and at least 1, not 0.5"));
}

BOOST_AUTO_TEST_SUITE_END()
