// How long a result is fresh, rule by rule.
#include "cache/lifetime.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using namespace pgcoro::detail;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace
{

long long seconds_of(const cache_options& o, asked_result what, std::chrono::nanoseconds wanted = {})
{
    return std::chrono::duration_cast<seconds>(lifetime_of(o, wanted, what).ttl).count();
}

} // namespace

BOOST_AUTO_TEST_SUITE(cache_lifetime)

BOOST_AUTO_TEST_CASE(the_adaptive_rules_multiply_and_are_held_between_their_bounds)
{
    cache_options o;
    BOOST_TEST(seconds_of(o, {}) == 300);
    BOOST_TEST(seconds_of(o, {.seen = 4}) == 300);
    BOOST_TEST(seconds_of(o, {.seen = 5}) == 600);
    BOOST_TEST(seconds_of(o, {.took = milliseconds(999)}) == 300);
    BOOST_TEST(seconds_of(o, {.took = seconds(1)}) == 900);
    BOOST_TEST(seconds_of(o, {.seen = 9, .took = seconds(3)}) == 1'800);
    BOOST_TEST(seconds_of(o, {.seen = 9, .took = seconds(3), .changing = true}) == 60);
    o.adaptive.base = seconds(10);
    BOOST_TEST(seconds_of(o, {}) == 30);
    o.adaptive.at_least = seconds(5);
    BOOST_TEST(seconds_of(o, {.changing = true}) == 10);
}

BOOST_AUTO_TEST_CASE(it_tells_which_rules_applied)
{
    cache_options o;
    auto life = lifetime_of(o, {}, {.seen = 5, .took = seconds(1), .changing = true});
    BOOST_TEST(life.frequent);
    BOOST_TEST(life.slow);
    BOOST_TEST(life.capped);
    BOOST_TEST(!life.raised);
    o.adaptive.base = milliseconds(1);
    BOOST_TEST(lifetime_of(o, {}, {}).raised);
}

BOOST_AUTO_TEST_CASE(no_rows_are_kept_for_less_and_the_caller_has_the_last_word)
{
    cache_options o;
    BOOST_TEST(seconds_of(o, {.empty = true}) == 30);
    BOOST_TEST(seconds_of(o, {.empty = true}, seconds(77)) == 77);
    o.strategy = cache_strategy::ttl;
    o.ttl = seconds(12);
    BOOST_TEST(seconds_of(o, {.seen = 9}) == 12);
    o.strategy = cache_strategy::lru;
    BOOST_TEST((lifetime_of(o, {}, {}).ttl == std::chrono::nanoseconds::max()));
    BOOST_TEST(seconds_of(o, {.changing = true}) == 60);
    BOOST_TEST(seconds_of(o, {.changing = true}, seconds(77)) == 77);
    BOOST_TEST(seconds_of(o, {.empty = true}) == 30);
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range_are_refused_by_name)
{
    cache_options o;
    o.max_bytes = 10;
    BOOST_CHECK_EXCEPTION(o.validate(), std::invalid_argument, [](auto& e) {
        return std::string(e.what()).find("cache_options.max_bytes is 10") != std::string::npos;
    });
    cache_options p;
    p.adaptive.at_least = seconds(0);
    BOOST_CHECK_THROW(p.validate(), std::invalid_argument);
    BOOST_CHECK_NO_THROW(cache_options().validate());
}

BOOST_AUTO_TEST_SUITE_END()
