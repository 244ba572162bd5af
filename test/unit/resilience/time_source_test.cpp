#include "unit/resilience/simulated_time.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pgcoro::time_source;

BOOST_AUTO_TEST_SUITE(the_steady_time_source)

BOOST_AUTO_TEST_CASE(is_one_and_does_not_go_back)
{
    auto& time = time_source::steady();
    BOOST_TEST(&time == &time_source::steady());
    const auto before = time.now();
    BOOST_TEST((time.now() >= before));
}

BOOST_AUTO_TEST_CASE(sleeps_at_least_as_long_as_asked)
{
    auto& time = time_source::steady();
    const auto before = time.now();
    test::run(time.sleep_for(1ms));
    BOOST_TEST((time.now() >= before + 1ms));
}

BOOST_AUTO_TEST_CASE(does_not_suspend_for_zero_or_less)
{
    asio::io_context context;
    int done = 0;
    auto sleeper = [&]() -> asio::awaitable<void> {
        co_await time_source::steady().sleep_for(0ns);
        co_await time_source::steady().sleep_for(-1h);
        ++done;
    };
    asio::co_spawn(context, sleeper, asio::detached);
    context.run_one(); // its start, and nothing else
    BOOST_TEST(done == 1);
}

BOOST_AUTO_TEST_CASE(ends_a_sleep_too_long_to_count_when_cancelled)
{
    asio::io_context context;
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    asio::co_spawn(context, time_source::steady().sleep_for(std::chrono::nanoseconds::max()),
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = e; }));
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    context.run();
    BOOST_TEST(pgcoro::is_cancellation(ended));
}

BOOST_AUTO_TEST_SUITE_END()
