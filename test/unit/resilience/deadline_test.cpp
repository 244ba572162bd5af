#include <pgcoro/resilience/deadline.hpp>

#include <boost/test/unit_test.hpp>

using namespace std::chrono_literals;
using pgcoro::deadline;

namespace
{
constexpr deadline::time_point noon(12h);
}

BOOST_AUTO_TEST_SUITE(a_deadline)

BOOST_AUTO_TEST_CASE(is_never_by_default_and_never_expires)
{
    constexpr deadline d;
    BOOST_TEST(d.is_never());
    BOOST_TEST((d == deadline::never()));
    BOOST_TEST(!d.expired(deadline::time_point::max()));
    BOOST_TEST((d.remaining(noon) == deadline::duration::max()));
}

BOOST_AUTO_TEST_CASE(expires_at_its_moment_and_not_before)
{
    constexpr auto d = deadline::at(noon);
    BOOST_TEST(!d.expired(noon - 1ns));
    BOOST_TEST(d.expired(noon));
    BOOST_TEST((d.remaining(noon - 1ns) == 1ns));
    BOOST_TEST((d.remaining(noon + 1h) == 0ns));
}

BOOST_AUTO_TEST_CASE(after_a_duration_is_that_much_later)
{
    constexpr auto d = deadline::after(5s, noon);
    BOOST_TEST((d.time() == noon + 5s));
    BOOST_TEST((d.remaining(noon + 2s) == 3s));
}

BOOST_AUTO_TEST_CASE(after_nothing_or_less_has_expired_already)
{
    BOOST_TEST(deadline::after(0ns, noon).expired(noon));
    BOOST_TEST(deadline::after(-1s, noon).expired(noon));
    BOOST_TEST(deadline::after(deadline::duration::min(), deadline::time_point(-1s)).expired(noon));
}

BOOST_AUTO_TEST_CASE(after_more_than_can_be_counted_is_never)
{
    BOOST_TEST(deadline::after(deadline::duration::max(), noon).is_never());
    BOOST_TEST(deadline::after(deadline::duration::max() - 11h, noon).is_never());
    BOOST_TEST(!deadline::after(deadline::duration::max() - 13h, noon).is_never());
}

BOOST_AUTO_TEST_CASE(remaining_does_not_overflow_from_before_the_epoch)
{
    const auto far = deadline::at(deadline::time_point::max() - 1s);
    BOOST_TEST((far.remaining(deadline::time_point(-1h)) == deadline::duration::max()));
}

BOOST_AUTO_TEST_CASE(the_earlier_of_two_is_the_one_that_comes_first)
{
    const auto soon = deadline::at(noon);
    const auto late = deadline::at(noon + 1s);
    BOOST_TEST((earlier(soon, late) == soon));
    BOOST_TEST((earlier(late, soon) == soon));
    BOOST_TEST((earlier(late, deadline::never()) == late));
    BOOST_TEST(earlier(deadline::never(), deadline::never()).is_never());
}

BOOST_AUTO_TEST_SUITE_END()
