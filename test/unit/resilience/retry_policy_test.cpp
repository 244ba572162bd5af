#include <pgcoro/resilience/retry_policy.hpp>

#include <boost/test/unit_test.hpp>

#include <random>
#include <stdexcept>

using namespace std::chrono_literals;
using namespace pgcoro;

BOOST_AUTO_TEST_SUITE(a_ready_made_policy)

BOOST_AUTO_TEST_CASE(for_databases_makes_three_attempts_from_a_tenth_of_a_second_to_five)
{
    const auto p = database_retry();
    BOOST_TEST(p.name == "database_retry");
    BOOST_TEST(p.max_attempts == 3);
    BOOST_TEST((p.backoff.curve(1) == 100ms));
    BOOST_TEST((p.backoff.curve(2) == 200ms));
    BOOST_TEST((p.backoff.ceiling() == 5s));
}

BOOST_AUTO_TEST_CASE(for_networks_makes_five_attempts_up_to_thirty_seconds_apart)
{
    const auto p = network_retry();
    BOOST_TEST(p.max_attempts == 5);
    BOOST_TEST((p.backoff.curve(2) == 2 * p.backoff.curve(1)));
    BOOST_TEST((p.backoff.ceiling() == 30s));
}

BOOST_AUTO_TEST_CASE(for_locks_waits_half_a_second_then_one_then_two_exactly)
{
    const auto p = lock_retry();
    BOOST_TEST(p.max_attempts == 4);
    std::mt19937 bits(3);
    auto rng = [&] { return std::generate_canonical<double, 53>(bits); };
    BOOST_TEST((p.backoff.delay(1, 0ns, rng) == 500ms));
    BOOST_TEST((p.backoff.delay(2, 500ms, rng) == 1s));
    BOOST_TEST((p.backoff.delay(3, 1s, rng) == 2s));
}

BOOST_AUTO_TEST_CASE(for_this_machine_makes_three_attempts_and_grows_evenly_to_a_second)
{
    const auto p = local_retry();
    BOOST_TEST(p.max_attempts == 3);
    BOOST_TEST((p.backoff.curve(3) == 3 * p.backoff.curve(1)));
    BOOST_TEST((p.backoff.ceiling() == 1s));
}

BOOST_AUTO_TEST_CASE(is_spread_by_full_jitter_unless_its_delays_are_a_list)
{
    std::mt19937 bits(3);
    auto rng = [&] { return std::generate_canonical<double, 53>(bits); };
    for (auto& p : {database_retry(), network_retry(), local_retry()}) {
        bool below_half = false;
        for (int i = 0; i < 100; ++i) below_half |= p.backoff.delay(1, 0ns, rng) < p.backoff.curve(1) / 2;
        BOOST_TEST(below_half, p.name);
    }
}

BOOST_AUTO_TEST_CASE(is_valid_and_a_policy_out_of_range_names_the_field)
{
    for (auto& p : {database_retry(), network_retry(), lock_retry(), local_retry(), retry_policy{}})
        BOOST_CHECK_NO_THROW(p.validate());
    auto says = [](std::string text) {
        return [=](const std::invalid_argument& e) { return e.what() == text; };
    };
    BOOST_CHECK_EXCEPTION((retry_policy{.name = "x", .max_attempts = 0}.validate()), std::invalid_argument,
                          says("retry policy x: max_attempts must be 1 or more, not 0"));
    BOOST_CHECK_EXCEPTION((retry_policy{.name = "x", .max_elapsed = -1s}.validate()), std::invalid_argument,
                          says("retry policy x: max_elapsed must be 0 or more, not -1 s"));
}

BOOST_AUTO_TEST_SUITE_END()
