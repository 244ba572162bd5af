#include "connection/credential_schedule.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::detail::credential_schedule;
using step = credential_schedule::step;
using namespace std::chrono_literals;

namespace
{

const credential_schedule::time_point start{1000h};

bool is(step found, step expected) { return found == expected; }

} // namespace

BOOST_AUTO_TEST_SUITE(credential_schedules)

BOOST_AUTO_TEST_CASE(first_connect_asks_and_others_wait_for_its_call)
{
    credential_schedule s;
    BOOST_TEST(is(s.next(start), step::ask));
    BOOST_TEST(is(s.next(start), step::wait));
    s.given(start, 1h);
    BOOST_TEST(is(s.next(start + 1s), step::use));
    BOOST_TEST(s.serial() == 1u);
}

BOOST_AUTO_TEST_CASE(credential_without_an_end_is_used_once)
{
    credential_schedule s;
    BOOST_TEST(is(s.next(start), step::ask));
    s.given(start, 0s);
    BOOST_TEST(is(s.next(start), step::ask));
    BOOST_TEST(!credential_schedule::retirement(s.current(), start));
}

BOOST_AUTO_TEST_CASE(cancelled_call_is_taken_over)
{
    credential_schedule s;
    BOOST_TEST(is(s.next(start), step::ask));
    s.cancelled();
    BOOST_TEST(is(s.next(start), step::ask));
}

BOOST_AUTO_TEST_CASE(old_credential_serves_while_the_next_is_asked_for)
{
    credential_schedule s;
    s.next(start);
    s.given(start, 10min); // refreshed in its last 2 minutes
    BOOST_TEST(is(s.next(start + 8min - 1ns), step::use));
    BOOST_TEST(is(s.next(start + 8min), step::ask));
    BOOST_TEST(is(s.next(start + 9min), step::use));
    BOOST_TEST(is(s.next(start + 10min), step::wait));
    s.given(start + 9min, 10min);
    BOOST_TEST(is(s.next(start + 10min), step::use));
    BOOST_TEST(s.serial() == 2u);
}

BOOST_AUTO_TEST_CASE(failed_refresh_is_not_repeated_by_each_connect)
{
    credential_schedule s;
    s.next(start);
    s.given(start, 10min);
    BOOST_TEST(is(s.next(start + 8min), step::ask));
    s.failed(start + 8min);
    BOOST_TEST(is(s.next(start + 8min + 9s), step::use));
    BOOST_TEST(is(s.next(start + 8min + 10s), step::ask));
    s.failed(start + 9min + 59s);
    BOOST_TEST(is(s.next(start + 10min), step::ask)); // it has ended
    s.failed(start + 10min);
    BOOST_TEST(is(s.next(start + 10min), step::ask));
}

BOOST_AUTO_TEST_CASE(refused_credential_is_not_used_again)
{
    credential_schedule s;
    s.next(start);
    s.given(start, 1h);
    s.refused(7); // an older one
    BOOST_TEST(is(s.next(start), step::use));
    s.refused(s.serial());
    BOOST_TEST(is(s.next(start), step::ask));
    s.given(start, 1h);
    BOOST_TEST(is(s.next(start), step::use));
}

BOOST_AUTO_TEST_CASE(refusal_asks_again_at_once_only_for_an_old_credential)
{
    auto delay = [](int n, bool is_new) { return credential_schedule::delay_after_refusal(n, is_new); };
    BOOST_TEST((delay(1, false) == 0s));
    BOOST_TEST((delay(1, true) == 200ms));
    BOOST_TEST((delay(2, false) == 400ms));
    BOOST_TEST((delay(4, true) == 1600ms));
    BOOST_TEST(!delay(5, true));
    BOOST_TEST(!delay(5, false));
}

BOOST_AUTO_TEST_CASE(session_is_replaced_before_its_credential_ends)
{
    credential_schedule s;
    s.next(start);
    s.given(start, 10min);
    auto fresh = credential_schedule::retirement(s.current(), start);
    BOOST_TEST_REQUIRE(static_cast<bool>(fresh));
    BOOST_TEST((fresh->first == start + 8min)); // not before the next credential is asked for
    BOOST_TEST((fresh->last == start + 9min));
    // Late, because no new one could be had: it is not replaced at once.
    auto late = credential_schedule::retirement(s.current(), start + 9min);
    BOOST_TEST((late->first == start + 9min + 30s));
    BOOST_TEST((late->last == start + 9min + 45s));
    auto ended = credential_schedule::retirement(s.current(), start + 11min);
    BOOST_TEST((ended->last == start + 11min));
}

BOOST_AUTO_TEST_CASE(margin_is_a_fifth_and_at_most_five_minutes)
{
    BOOST_TEST((credential_schedule::margin(10min) == 2min));
    BOOST_TEST((credential_schedule::margin(24h) == 5min));
    credential_schedule s;
    s.next(start);
    s.given(start, std::chrono::nanoseconds::max());
    BOOST_TEST(is(s.next(start + 1000h), step::use));
    BOOST_TEST(!credential_schedule::retirement(s.current(), start));
}

BOOST_AUTO_TEST_SUITE_END()
