#include "connection/ends_by.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <stdexcept>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pgcoro::detail::ends_by;

namespace
{

asio::awaitable<void> sleep_for(std::chrono::steady_clock::duration time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::deferred);
}

asio::awaitable<void> fail()
{
    co_await sleep_for(1ms);
    throw std::runtime_error("its own");
}

template <class Body>
void run(Body body)
{
    asio::io_context io;
    std::exception_ptr failure;
    asio::co_spawn(io, body(), [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

} // namespace

BOOST_AUTO_TEST_SUITE(ends_by_deadline)

BOOST_AUTO_TEST_CASE(work_that_ends_before_the_deadline_is_done)
{
    run([]() -> asio::awaitable<void> {
        auto work = sleep_for(1ms);
        bool in_time = co_await ends_by(std::chrono::steady_clock::now() + 1h, std::move(work));
        BOOST_TEST(in_time);
    });
}

BOOST_AUTO_TEST_CASE(work_is_cancelled_at_the_deadline)
{
    run([]() -> asio::awaitable<void> {
        auto work = sleep_for(1h);
        bool in_time = co_await ends_by(std::chrono::steady_clock::now() + 1ms, std::move(work));
        BOOST_TEST(!in_time);
    });
}

BOOST_AUTO_TEST_CASE(an_exception_of_the_work_is_rethrown)
{
    run([]() -> asio::awaitable<void> {
        auto work = fail();
        auto all = ends_by(std::chrono::steady_clock::now() + 1h, std::move(work));
        bool thrown = false;
        try {
            co_await std::move(all);
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        BOOST_TEST(thrown);
    });
}

BOOST_AUTO_TEST_CASE(a_cancellation_of_any_kind_is_no_deadline)
{
    for (auto kind : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                      asio::cancellation_type::total}) {
        asio::io_context io;
        asio::cancellation_signal stop;
        std::exception_ptr failure;
        auto waits = []() -> asio::awaitable<void> {
            co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
            auto work = sleep_for(1h);
            co_await ends_by(std::chrono::steady_clock::now() + 2h, std::move(work));
        };
        asio::co_spawn(io, waits(),
                       asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e) { failure = e; }));
        for (int turns = 0; turns < 10; ++turns) io.poll_one();
        stop.emit(kind);
        io.run();
        BOOST_REQUIRE(failure);
        BOOST_CHECK_EXCEPTION(std::rethrow_exception(failure), boost::system::system_error,
                              [](auto& e) { return e.code() == asio::error::operation_aborted; });
    }
}

// Shows a race to ThreadSanitizer only.
BOOST_AUTO_TEST_CASE(an_executor_of_several_threads_needs_no_strand)
{
    asio::thread_pool threads(4);
    std::atomic<int> ended{0};
    std::promise<void> all_ended;
    constexpr int callers = 500;
    auto call = [](int i) -> asio::awaitable<void> {
        auto work = sleep_for(std::chrono::microseconds(i % 7 * 300));
        co_await ends_by(std::chrono::steady_clock::now() + 1ms, std::move(work));
    };
    for (int i = 0; i < callers; ++i)
        asio::co_spawn(threads, call(i), [&](std::exception_ptr) {
            if (++ended == callers) all_ended.set_value();
        });
    all_ended.get_future().wait();
    threads.join();
    BOOST_TEST(ended == callers);
}

BOOST_AUTO_TEST_SUITE_END()
