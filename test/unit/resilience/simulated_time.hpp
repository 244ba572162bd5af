#pragma once

#include <pgcoro/resilience/time_source.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

namespace test
{

/// A clock that stands still but for its sleepers, who find themselves later at once. For one thread.
class simulated_time final : public pgcoro::time_source
{
public:
    time_point now() const noexcept override { return now_; }

    boost::asio::awaitable<void> sleep_for(duration time) override
    {
        sleeps.push_back(time);
        if (sleeps_for_ever) {
            const auto executor = co_await boost::asio::this_coro::executor;
            boost::asio::steady_timer timer(executor, time_point::max());
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
        now_ += time;
    }

    void advance(duration time) { now_ += time; }

    std::vector<duration> sleeps;
    bool sleeps_for_ever = false; ///< until cancelled

private:
    time_point now_ = time_point(std::chrono::hours(1));
};

/// Runs the coroutine to its end: its result or its exception.
template <class T>
T run(boost::asio::awaitable<T> coroutine)
{
    boost::asio::io_context context;
    // co_spawn() itself asks for results that can be made from nothing.
    std::conditional_t<std::is_void_v<T>, std::monostate, std::optional<T>> result;
    auto keep = [&]() -> boost::asio::awaitable<void> {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(coroutine);
        } else {
            T value = co_await std::move(coroutine);
            result.emplace(std::move(value));
        }
    };
    auto done = boost::asio::co_spawn(context, keep, boost::asio::use_future);
    context.run();
    done.get();
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

} // namespace test
