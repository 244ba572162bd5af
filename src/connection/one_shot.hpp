// An event that happens once, told from any thread, awaited by one coroutine on its own executor.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace pgcoro::detail
{

enum class wake { done, expired, cancelled };

// Shared between the waiter and who tells it; whoever comes first (the event, the deadline, a cancellation)
// completes the waiter, by post, and the others find it gone.
class one_shot : public std::enable_shared_from_this<one_shot>
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    // From any thread, once or more often. Told before the wait, it is remembered.
    void tell()
    {
        std::lock_guard lock(mutex_);
        told_ = true;
        complete(wake::done);
    }

    bool told() const
    {
        std::lock_guard lock(mutex_);
        return told_;
    }

    // Completes with a `wake`. One waiter at a time. The deadline's timer is of the waiter's own executor.
    template <class Token>
    auto async_wait(std::optional<time_point> deadline, Token&& token)
    {
        return boost::asio::async_initiate<Token, void(wake)>(
            [](auto h, std::shared_ptr<one_shot> self, std::optional<time_point> until) {
                self->start(std::move(h), until);
            },
            token, shared_from_this(), deadline);
    }

private:
    using handler = boost::asio::any_completion_handler<void(wake)>;

    // Moved by construction only: Boost 1.81's any_completion_handler recurses for ever when it is assigned.
    struct waiter
    {
        handler resume;
        boost::asio::any_io_executor executor; // with outstanding work: its context runs on while we wait
    };

    // What the timer calls. Where it is destroyed uncalled its io_context has ended, and nobody can resume
    // the waiter any more: a coroutine, as a rule, which holds this, and would stay for ever.
    class timed
    {
    public:
        explicit timed(std::weak_ptr<one_shot> of)
            : of_(std::move(of))
        {}
        timed(timed&&) noexcept = default;
        ~timed()
        {
            if (auto self = of_.lock()) self->forget();
        }

        void operator()(boost::system::error_code ec)
        {
            auto self = std::exchange(of_, {}).lock();
            if (self && !ec) self->give_up(wake::expired);
        }

    private:
        std::weak_ptr<one_shot> of_;
    };

    void forget()
    {
        std::optional<waiter> gone; // not under the lock: its end may be that of much else
        std::lock_guard lock(mutex_);
        if (!waiting_) return;
        gone.emplace(std::move(*waiting_));
        waiting_.reset();
    }

    template <class Handler>
    void start(Handler h, std::optional<time_point> until)
    {
        boost::asio::any_io_executor executor = boost::asio::get_associated_executor(h);
        auto slot = boost::asio::get_associated_cancellation_slot(h);
        if (slot.is_connected())
            slot.assign([self = shared_from_this()](boost::asio::cancellation_type) {
                self->give_up(wake::cancelled);
            });
        std::shared_ptr<boost::asio::steady_timer> timer;
        if (until) timer = std::make_shared<boost::asio::steady_timer>(executor, *until);
        // The slot belongs to the waiter's executor: it is cleared there, not by the thread that tells.
        waiter added{[h = std::move(h), slot, timer](wake why) mutable {
                         if (slot.is_connected()) slot.clear();
                         if (timer) timer->cancel();
                         std::move(h)(why);
                     },
                     boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked)};
        std::lock_guard lock(mutex_);
        waiting_.emplace(std::move(added));
        if (told_) return complete(wake::done);
        // Before anyone may resume the waiter, who then touches the timer on another thread.
        if (timer) timer->async_wait(timed(weak_from_this()));
    }

    void give_up(wake why)
    {
        std::lock_guard lock(mutex_);
        complete(why);
    }

    // With the lock held, which the waiter takes, too, before it goes on: by then this thread has let go of
    // the waiter's executor, and the waiter may end its io_context.
    void complete(wake why)
    {
        if (!waiting_) return;
        auto taken = std::move(*waiting_);
        waiting_.reset();
        boost::asio::post(taken.executor,
                          [self = shared_from_this(), resume = std::move(taken.resume), why]() mutable {
                              { std::lock_guard through(self->mutex_); }
                              std::move(resume)(why);
                          });
    }

    mutable std::mutex mutex_;
    std::optional<waiter> waiting_;
    bool told_ = false;
};

} // namespace pgcoro::detail
