#include <pgcoro/resilience/retry_statistics.hpp>

#include <boost/test/unit_test.hpp>

#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace pgcoro;

BOOST_AUTO_TEST_SUITE(retry_statistics_of_a_name)

BOOST_AUTO_TEST_CASE(are_zero_before_anything_was_recorded)
{
    const auto s = retry_statistics().of("nobody");
    BOOST_TEST(s.total.calls == 0u);
    BOOST_TEST(s.total.success_rate() == 1.0);
    BOOST_TEST((s.total.average_delay() == 0ns));
    BOOST_TEST(s.operations.empty());
}

BOOST_AUTO_TEST_CASE(count_calls_attempts_outcomes_and_delays)
{
    retry_statistics all;
    all.record("db", "read", retry_outcome::succeeded, 1, 0ns);
    all.record("db", "read", retry_outcome::succeeded, 3, 300ms);
    all.record("db", "write", retry_outcome::failed, 2, 60ms);
    all.record("db", "", retry_outcome::succeeded, 1, 0ns);
    all.record("db", "write", retry_outcome::cancelled, 1, 0ns);
    all.record("other", "read", retry_outcome::failed, 1, 0ns);

    const auto s = all.of("db");
    BOOST_TEST(s.total.calls == 5u);
    BOOST_TEST(s.total.attempts == 8u);
    BOOST_TEST(s.total.retries() == 3u);
    BOOST_TEST(s.total.successes == 3u);
    BOOST_TEST(s.total.failures == 1u);
    BOOST_TEST(s.total.cancelled == 1u);
    BOOST_TEST(s.total.success_rate() == 0.75);
    BOOST_TEST((s.total.average_delay() == 120ms));
    BOOST_TEST(s.operations.size() == 2u);
    BOOST_TEST(s.operations.at("read").attempts == 4u);
    BOOST_TEST((s.operations.at("read").average_delay() == 150ms));
    BOOST_TEST(s.operations.at("write").failures == 1u);
    BOOST_TEST(all.snapshot().size() == 2u);
    BOOST_TEST(all.of("other").total.success_rate() == 0.0);
}

BOOST_AUTO_TEST_CASE(lose_no_count_when_threads_record_at_once)
{
    retry_statistics all;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&all, t] {
            for (int i = 0; i < 500; ++i)
                all.record("db", t % 2 ? "odd" : "even", retry_outcome::succeeded, 2, 1ms);
        });
    for (auto& t : threads) t.join();
    const auto s = all.of("db");
    BOOST_TEST(s.total.calls == 2000u);
    BOOST_TEST(s.total.attempts == 4000u);
    BOOST_TEST((s.total.total_delay == 2s));
    BOOST_TEST(s.operations.at("odd").calls == 1000u);
}

BOOST_AUTO_TEST_SUITE_END()
