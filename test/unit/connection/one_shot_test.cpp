#include "connection/one_shot.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace asio = boost::asio;
using pgcoro::detail::one_shot;
using pgcoro::detail::wake;

BOOST_AUTO_TEST_SUITE(one_shot_events)

// Found by a crash: the thread that told still held the waiter's executor when its io_context was gone.
BOOST_AUTO_TEST_CASE(who_was_told_may_end_its_io_context_at_once)
{
    asio::thread_pool threads(1);
    int told = 0;
    for (int i = 0; i < 5000; ++i) {
        auto io = std::make_unique<asio::io_context>();
        auto event = std::make_shared<one_shot>();
        auto wait = [&]() -> asio::awaitable<void> {
            asio::post(threads, [event] { event->tell(); });
            auto why = co_await event->async_wait(std::nullopt, asio::deferred);
            told += why == wake::done;
            io->stop();
        };
        asio::co_spawn(*io, wait(), asio::detached);
        io->run();
    }
    BOOST_TEST(told == 5000);
}

// Found by LeakSanitizer: coroutine and event held each other.
BOOST_AUTO_TEST_CASE(who_waits_ends_with_the_io_context)
{
    auto later = std::chrono::steady_clock::now() + std::chrono::hours(1);
    for (auto deadline : {std::optional(later), std::optional<one_shot::time_point>()}) {
        auto witness = std::make_shared<int>();
        {
            asio::io_context io;
            auto wait = [&](std::shared_ptr<int>) -> asio::awaitable<void> {
                auto event = std::make_shared<one_shot>();
                co_await event->async_wait(deadline, asio::deferred);
            };
            asio::co_spawn(io, wait(witness), asio::detached);
            asio::co_spawn(asio::make_strand(io), wait(witness), asio::detached);
            io.poll();
            BOOST_TEST(witness.use_count() == 3);
        }
        BOOST_TEST(witness.use_count() == 1);
    }
}

// As the end of one of a pool's callers lets go of what the next one waits for.
BOOST_AUTO_TEST_CASE(whose_end_tells_another_leaves_that_one_to_end_with_the_io_context_too)
{
    auto witness = std::make_shared<int>();
    {
        asio::io_context io;
        struct tells_at_its_end
        {
            std::shared_ptr<one_shot> event;
            ~tells_at_its_end() { event->tell(); }
        };
        auto wait = [](std::shared_ptr<int>, std::shared_ptr<one_shot> own,
                       std::shared_ptr<one_shot> next) -> asio::awaitable<void> {
            tells_at_its_end guard{next};
            co_await own->async_wait(std::nullopt, asio::deferred);
        };
        std::vector<std::shared_ptr<one_shot>> events(10);
        for (auto& e : events) e = std::make_shared<one_shot>();
        for (std::size_t i = 0; i < events.size(); ++i)
            asio::co_spawn(io, wait(witness, events[i], events[(i + 1) % events.size()]), asio::detached);
        io.poll();
        BOOST_TEST(witness.use_count() == 11);
    }
    BOOST_TEST(witness.use_count() == 1);
}

// What is waited for may be told after the io_context is gone: by who lives longer.
BOOST_AUTO_TEST_CASE(who_is_told_too_late_is_gone)
{
    auto event = std::make_shared<one_shot>();
    {
        asio::io_context io;
        auto wait = [&]() -> asio::awaitable<void> {
            co_await event->async_wait(std::nullopt, asio::deferred);
        };
        asio::co_spawn(io, wait(), asio::detached);
        io.poll();
        BOOST_TEST(event.use_count() == 1);
    }
    event->tell();
    BOOST_TEST(event->told());
}

BOOST_AUTO_TEST_SUITE_END()
