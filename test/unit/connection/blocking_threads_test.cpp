#include "connection/blocking_threads.hpp"

#include <boost/test/unit_test.hpp>

#include <future>
#include <memory>
#include <thread>
#include <vector>

using pgcoro::detail::blocking_threads;

BOOST_AUTO_TEST_SUITE(threads_for_blocking_calls)

BOOST_AUTO_TEST_CASE(stuck_calls_hold_up_no_other_until_all_threads_are_stuck)
{
    auto& threads = blocking_threads::for_cancel_requests();
    std::promise<void> release;
    auto released = release.get_future().share();
    std::vector<std::shared_ptr<std::promise<void>>> begun;
    for (std::size_t i = 0; i < 6; ++i) { // twice as many as run at once while none is stuck
        begun.push_back(std::make_shared<std::promise<void>>());
        BOOST_REQUIRE(threads.run([released, entered = begun.back()] {
            entered->set_value();
            released.wait();
        }));
    }
    for (auto& b : begun) b->get_future().wait(); // the others get threads once the first are stuck
    auto done = std::make_shared<std::promise<void>>();
    BOOST_REQUIRE(threads.run([done] { done->set_value(); }));
    done->get_future().wait();

    std::size_t accepted = begun.size();
    std::vector<std::future<void>> ended;
    for (;; ++accepted) {
        auto end = std::make_shared<std::promise<void>>();
        auto future = end->get_future();
        if (!threads.run([released, end] {
                released.wait();
                end->set_value();
            }))
            break;
        ended.push_back(std::move(future));
    }
    BOOST_TEST(accepted <= blocking_threads::most + 1);
    BOOST_TEST(accepted >= blocking_threads::most - 1);
    release.set_value();
    for (auto& e : ended) e.wait();
    auto again = std::make_shared<std::promise<void>>();
    while (!threads.run([again] { again->set_value(); })) std::this_thread::yield();
    again->get_future().wait();
}

BOOST_AUTO_TEST_SUITE_END()
