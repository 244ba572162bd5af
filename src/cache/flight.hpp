// One piece of work that several callers want: one of them does it. If that one is cancelled another takes
// over.
#pragma once

#include "connection/one_shot.hpp"
#include "error/copy_of.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <memory>
#include <mutex>
#include <vector>

namespace pgcoro::detail
{

template <class T>
class flight
{
public:
    using value = std::shared_ptr<const T>;

    // Gives what `work()` gave to whoever did it; `led` says whether that was this caller. The flight must
    // outlive it.
    template <class Work>
    boost::asio::awaitable<value> join(Work& work, bool& led)
    {
        for (;;) {
            std::shared_ptr<one_shot> turn;
            {
                std::lock_guard lock(mutex_);
                if (landed_) break;
                if (led_)
                    turn = waiting_.emplace_back(std::make_shared<one_shot>());
                else
                    led_ = true;
            }
            if (turn) {
                auto why = co_await turn->async_wait(std::nullopt, boost::asio::deferred);
                if (why == wake::cancelled)
                    throw boost::system::system_error(boost::asio::error::operation_aborted);
                continue;
            }
            leadership mine{*this};
            value made;
            std::exception_ptr failure;
            try {
                made = co_await work();
            } catch (...) {
                failure = std::current_exception();
            }
            led = true;
            if (is_cancellation(failure)) std::rethrow_exception(failure); // and `mine` lets another lead
            mine.land(made, failure);
            if (failure) std::rethrow_exception(failure);
            co_return made;
        }
        if (failure_) std::rethrow_exception(copy_of(failure_));
        co_return value_;
    }

private:
    // Also when the leader's coroutine is destroyed where it waits.
    struct leadership
    {
        flight& of;
        bool landed = false;

        void land(const value& made, const std::exception_ptr& failure)
        {
            landed = true;
            std::lock_guard lock(of.mutex_);
            of.landed_ = true;
            of.value_ = made;
            of.failure_ = copy_of(failure); // the leader may add notes to the original
            of.wake_all();
        }
        ~leadership()
        {
            if (landed) return;
            std::lock_guard lock(of.mutex_);
            of.led_ = false;
            of.wake_all(); // the first of them leads, the others wait again
        }
    };

    void wake_all()
    {
        for (auto& w : waiting_) w->tell();
        waiting_.clear();
    }

    std::mutex mutex_;
    bool led_ = false;
    bool landed_ = false;
    value value_; // what is below is not changed any more once it has landed
    std::exception_ptr failure_;
    std::vector<std::shared_ptr<one_shot>> waiting_;
};

} // namespace pgcoro::detail
