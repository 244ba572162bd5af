#include "transaction/statement_limit.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::detail::statement_limit;
using namespace std::chrono_literals;

namespace
{

const statement_limit::time_point begin{1h};

// Returns the limit that travels; 0 if there is no need of one.
long long sent(std::optional<std::chrono::milliseconds> limit) { return limit ? limit->count() : 0; }

} // namespace

BOOST_AUTO_TEST_SUITE(statement_limit_tests)

BOOST_AUTO_TEST_CASE(the_first_statement_takes_the_limit_along)
{
    statement_limit l;
    BOOST_TEST(sent(l.next(begin, begin + 2s, 0ms)) == 2000);
    BOOST_TEST(sent(l.next(begin + 1ms, begin + 2s, 0ms)) == 0);
}

BOOST_AUTO_TEST_CASE(it_travels_again_when_it_has_grown_late)
{
    statement_limit l;
    l.next(begin, begin + 2s, 0ms);
    BOOST_TEST(sent(l.next(begin + 49ms, begin + 2s, 0ms)) == 0);
    BOOST_TEST(sent(l.next(begin + 50ms, begin + 2s, 0ms)) == 1950);
    BOOST_TEST(sent(l.next(begin + 99ms, begin + 2s, 0ms)) == 0);
    BOOST_TEST(sent(l.next(begin + 100ms, begin + 2s, 0ms)) == 1900);
}

BOOST_AUTO_TEST_CASE(a_statement_per_millisecond_sends_few_limits)
{
    statement_limit l;
    int sent_limits = 0;
    for (auto at = 0ms; at < 2s; at += 1ms) {
        auto server_stops_at = begin + 2s; // of the limit that was sent last, for a statement that is sent now
        if (auto limit = l.next(begin + at, begin + 2s, 0ms)) {
            ++sent_limits;
            BOOST_TEST((begin + at + *limit == server_stops_at));
        }
    }
    BOOST_TEST(sent_limits == 40);
}

BOOST_AUTO_TEST_CASE(a_shorter_usual_limit_needs_no_other)
{
    statement_limit l;
    BOOST_TEST(sent(l.next(begin, begin + 2s, 500ms)) == 0);
    BOOST_TEST(sent(l.next(begin + 1400ms, begin + 2s, 500ms)) == 0);
    BOOST_TEST(sent(l.next(begin + 1501ms, begin + 2s, 500ms)) == 499);
}

BOOST_AUTO_TEST_CASE(after_a_change_the_limit_travels_whatever_was_usual)
{
    statement_limit l;
    l.next(begin, begin + 2s, 0ms);
    l.forget();
    BOOST_TEST(sent(l.next(begin + 1ms, begin + 2s, 0ms)) == 1999);
    statement_limit usual;
    usual.forget();
    BOOST_TEST(sent(usual.next(begin, begin + 2s, 500ms)) == 2000);
}

BOOST_AUTO_TEST_CASE(limits_that_the_server_does_not_take_do_not_travel)
{
    statement_limit l;
    BOOST_TEST(sent(l.next(begin, begin + std::chrono::milliseconds(2'147'483'647), 0ms)) == 0);
    BOOST_TEST(sent(l.next(begin, begin + std::chrono::milliseconds(2'147'483'646), 0ms)) == 2'147'483'646);
}

BOOST_AUTO_TEST_CASE(the_last_millisecond_is_not_zero_which_is_no_limit)
{
    statement_limit l;
    BOOST_TEST(sent(l.next(begin, begin + 10us, 0ms)) == 1);
    statement_limit late;
    BOOST_TEST(sent(late.next(begin + 1ms, begin, 0ms)) == 1);
}

BOOST_AUTO_TEST_CASE(texts_that_may_change_the_limit)
{
    for (auto sql : {"", "set local Statement_Timeout = 0", "RESET ALL", "select Set_Config($1, $2, true)"})
        BOOST_TEST(statement_limit::may_change(sql), sql);
    for (auto sql : {"select 1", "update account set cents = 0"}) BOOST_TEST(!statement_limit::may_change(sql), sql);
}

BOOST_AUTO_TEST_SUITE_END()
