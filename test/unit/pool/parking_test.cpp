#include "pool/parking.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

using pgcoro::detail::parking;

namespace
{

std::vector<parking::slot_id> closed(parking& places)
{
    std::vector<parking::slot_id> found;
    places.close([&](auto slot) { found.push_back(slot); });
    return found;
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_parking)

BOOST_AUTO_TEST_CASE(a_thread_finds_what_it_left_and_only_once)
{
    parking places;
    places.open();
    BOOST_TEST(!places.take().has_value());
    BOOST_TEST(places.put(7));
    BOOST_TEST(!places.put(8)); // it is taken
    BOOST_TEST(places.count() == 1u);
    BOOST_TEST(places.take().value() == 7u);
    BOOST_TEST(!places.take().has_value());
    BOOST_TEST(places.count() == 0u);
}

BOOST_AUTO_TEST_CASE(slot_seen_in_two_places_counts_once)
{
    std::vector<parking::slot_id> seen{7, 3, 7};
    BOOST_TEST(parking::distinct(seen) == 2u);
    BOOST_TEST(parking::distinct({}) == 0u);
}

BOOST_AUTO_TEST_CASE(closed_it_takes_and_gives_nothing)
{
    parking places;
    BOOST_TEST(!places.put(1)); // it begins closed
    places.open();
    BOOST_TEST(places.put(1));
    BOOST_TEST(closed(places) == std::vector<parking::slot_id>{1}, boost::test_tools::per_element());
    BOOST_TEST(!places.put(2));
    BOOST_TEST(!places.take().has_value());
    BOOST_TEST(closed(places).empty());
    places.open();
    BOOST_TEST(places.put(2));
    places.open(); // which it is already: what is there stays there
    BOOST_TEST(places.take().value() == 2u);
}

// As the pool uses it: a stack behind a lock, and the places before it.
BOOST_AUTO_TEST_CASE(among_threads_nothing_is_lost_and_nothing_is_had_by_two)
{
    constexpr parking::slot_id slots = 5;
    constexpr int threads = 4;
    constexpr int rounds = 50'000;
    parking places;
    std::mutex mutex;
    std::vector<parking::slot_id> stack;
    for (parking::slot_id i = 0; i < slots; ++i) stack.push_back(i);
    std::deque<std::atomic<bool>> had(slots);
    std::atomic<int> doubled{0};
    std::atomic<int> parked{0};
    places.open();
    auto work = [&] {
        for (int i = 0; i < rounds; ++i) {
            auto mine = places.take();
            if (!mine) {
                std::lock_guard lock(mutex);
                places.close([&](auto slot) { stack.push_back(slot); });
                if (i % 3) places.open();
                if (stack.empty()) continue;
                mine = stack.back();
                stack.pop_back();
            }
            if (had[*mine].exchange(true)) ++doubled;
            had[*mine] = false;
            if (places.put(*mine)) {
                ++parked;
                continue;
            }
            std::lock_guard lock(mutex);
            stack.push_back(*mine);
            places.open();
        }
    };
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) running.emplace_back(work);
    for (auto& t : running) t.join();
    places.close([&](auto slot) { stack.push_back(slot); });
    std::sort(stack.begin(), stack.end());
    BOOST_TEST(stack == (std::vector<parking::slot_id>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    BOOST_TEST(doubled == 0);
    BOOST_TEST(parked > 0);
}

BOOST_AUTO_TEST_SUITE_END()
