#pragma once

#include "integration/run.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

/// Lets everybody else on this I/O context have a turn.
inline boost::asio::awaitable<void> yield()
{
    auto executor = co_await boost::asio::this_coro::executor;
    co_await boost::asio::post(executor, boost::asio::deferred);
}

/// A coroutine that runs beside the test, which remembers how it ended and may cancel it.
class beside
{
public:
    template <class Body>
    beside(boost::asio::any_io_executor executor, Body body)
    {
        boost::asio::co_spawn(
            executor, run(std::move(body)),
            boost::asio::bind_cancellation_slot(signal_.slot(), [this](std::exception_ptr e) {
                done_ = true;
                error_ = e;
            }));
    }
    beside(const beside&) = delete;
    beside& operator=(const beside&) = delete;

    bool begun() const noexcept { return begun_; }
    bool done() const noexcept { return done_; }
    /// What it ended with; null when it returned, or has not ended.
    std::exception_ptr error() const noexcept { return error_; }
    template <class Error>
    bool threw() const
    {
        try {
            if (error_) std::rethrow_exception(error_);
        } catch (const Error&) {
            return true;
        } catch (...) {
        }
        return false;
    }

    /// Not before it has begun: Boost 1.83 throws out of run() then.
    void cancel()
    {
        BOOST_REQUIRE(begun_);
        signal_.emit(boost::asio::cancellation_type::terminal);
    }
    /// Runs `io` until it has begun, which is its first turn.
    void begin(boost::asio::io_context& io)
    {
        io.restart();
        while (!begun_) io.run_one();
    }
    /// Cancels it, and waits for its end.
    boost::asio::awaitable<void> end()
    {
        while (!begun_) co_await yield();
        cancel();
        while (!done_) co_await yield();
    }

private:
    template <class Body>
    boost::asio::awaitable<void> run(Body body)
    {
        begun_ = true;
        co_await body();
    }

    bool begun_ = false;
    bool done_ = false;
    std::exception_ptr error_;
    boost::asio::cancellation_signal signal_;
};
