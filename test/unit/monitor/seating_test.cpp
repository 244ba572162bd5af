#include "monitor/seating.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <set>
#include <vector>

using pgcoro::detail::seating;
using enum seating::state;

namespace
{

std::vector<seating::id> full(seating& s, int n, seating::state in)
{
    std::vector<seating::id> all;
    for (int i = 0; i < n; ++i) {
        auto e = s.enter();
        BOOST_TEST_REQUIRE(e.has_value());
        BOOST_TEST(!e->closed.has_value());
        all.push_back(e->entered);
        s.change(all.back(), in);
    }
    return all;
}

} // namespace

BOOST_AUTO_TEST_SUITE(monitor_seating)

BOOST_AUTO_TEST_CASE(longest_waiting_connection_goes_when_full)
{
    seating s(3, 1);
    auto open = full(s, 3, waiting);
    s.change(open[0], answering);
    s.change(open[0], writing);
    s.change(open[0], waiting); // asked again: the shortest waiting now
    BOOST_TEST((s.enter()->closed == open[1]));
    BOOST_TEST((s.enter()->closed == open[2]));
    BOOST_TEST((s.enter()->closed == open[0]));
    BOOST_TEST(s.taken() == 3u);
}

BOOST_AUTO_TEST_CASE(writing_goes_only_when_none_waits)
{
    seating s(2, 1);
    auto open = full(s, 2, writing);
    s.change(open[1], waiting);
    BOOST_TEST((s.enter()->closed == open[1]));
    s.change(3, answering);
    BOOST_TEST((s.enter()->closed == open[0]));
}

BOOST_AUTO_TEST_CASE(reserve_opens_when_all_are_answering)
{
    seating s(2, 1);
    auto open = full(s, 2, answering);
    BOOST_TEST(!s.crowded());
    auto probe = s.enter();
    BOOST_TEST_REQUIRE(probe.has_value());
    BOOST_TEST(!probe->closed.has_value());
    BOOST_TEST(s.crowded());
    s.change(probe->entered, answering);
    BOOST_TEST(!s.may_enter());
    BOOST_TEST(!s.enter().has_value());
    s.leave(open[0]);
    BOOST_TEST(!s.crowded());
    BOOST_TEST(s.may_enter());
}

BOOST_AUTO_TEST_CASE(closed_connection_takes_no_place_again)
{
    seating s(1, 1);
    auto first = s.enter()->entered;
    BOOST_TEST((s.enter()->closed == first));
    s.change(first, answering);
    s.leave(first);
    BOOST_TEST(s.taken() == 1u);
}

BOOST_AUTO_TEST_CASE(random_order_of_events_keeps_the_bounds)
{
    std::mt19937 random(1);
    seating s(8, 2);
    std::set<seating::id> open;
    for (int i = 0; i < 20'000; ++i) {
        auto some = [&] { return *std::next(open.begin(), static_cast<long>(random() % open.size())); };
        switch (random() % 4) {
        case 0: {
            bool may = s.may_enter();
            auto e = s.enter();
            BOOST_TEST_REQUIRE(may == e.has_value());
            if (!e) break;
            open.insert(e->entered);
            if (e->closed) BOOST_TEST_REQUIRE(open.erase(*e->closed) == 1u);
            break;
        }
        case 1:
            if (open.empty()) break;
            s.leave(*open.begin());
            open.erase(open.begin());
            break;
        default:
            if (!open.empty()) s.change(some(), static_cast<seating::state>(random() % 3));
        }
        BOOST_TEST_REQUIRE(s.taken() == open.size());
        BOOST_TEST_REQUIRE(s.taken() <= 10u);
    }
}

BOOST_AUTO_TEST_SUITE_END()
