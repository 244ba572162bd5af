#include <pgcoro/detail/time.hpp>
#include <pgcoro/resilience/deadline.hpp>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(time_arithmetic)

using namespace std::chrono_literals;
using pgcoro::detail::saturated;
using pgcoro::detail::steady_time;
using pgcoro::detail::time_after;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr steady_time noon{12h};

BOOST_AUTO_TEST_CASE(short_durations_are_added_exactly)
{
    static_assert(time_after(noon, 1ns) == noon + 1ns);
    static_assert(time_after(noon, 1500ms) == noon + 1500ms);
    static_assert(time_after(noon, -1h) == steady_time(11h));
    static_assert(time_after(noon, 0s) == noon);
}

BOOST_AUTO_TEST_CASE(durations_too_long_to_express_mean_never)
{
    static_assert(time_after(noon, milliseconds::max()) == steady_time::max());
    static_assert(time_after(noon, nanoseconds::max()) == steady_time::max());
    static_assert(time_after(noon, hours::max()) == steady_time::max());
    static_assert(time_after(noon, hours(24 * 365 * 300)) == steady_time::max());
}

BOOST_AUTO_TEST_CASE(the_most_negative_duration_is_long_ago)
{
    static_assert(time_after(noon, milliseconds::min()) < noon);
    static_assert(time_after(steady_time(-1h), nanoseconds::min()) == steady_time::min());
}

BOOST_AUTO_TEST_CASE(conversion_stops_at_the_limits_of_the_target)
{
    static_assert(saturated<nanoseconds>(milliseconds::max()) == nanoseconds::max());
    static_assert(saturated<nanoseconds>(milliseconds::min()) == nanoseconds::min());
    static_assert(saturated<nanoseconds>(3ms) == 3'000'000ns);
    static_assert(saturated<std::chrono::duration<std::int32_t, std::milli>>(hours(24 * 365)).count() ==
                  2'147'483'647);
}

BOOST_AUTO_TEST_CASE(a_deadline_too_far_away_never_expires)
{
    BOOST_CHECK(pgcoro::deadline::after(milliseconds::max()).is_never());
    BOOST_CHECK(pgcoro::deadline::after(milliseconds::min()).expired());
}

BOOST_AUTO_TEST_SUITE_END()
