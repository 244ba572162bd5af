// An event that happens once, told from any thread, awaited by one coroutine on its own executor.
#pragma once

#include "base/process.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace pgcoro::detail
{

enum class wake { done, expired, cancelled };

class contexts_waiters;
class one_shot;
using waited_for = boost::intrusive::list_base_hook<boost::intrusive::tag<contexts_waiters>>;

// What is waited for on the executors of one context, which itself knows nothing of those who wait. When it
// is destroyed nobody can resume them any more, and by this they end, too: coroutines as a rule, which hold
// what they wait for, which holds them.
class contexts_waiters final : public boost::asio::execution_context::service
{
public:
    inline static boost::asio::execution_context::id id;

    static contexts_waiters& of(const boost::asio::any_io_executor& executor);

    explicit contexts_waiters(boost::asio::execution_context& context)
        : service(context)
    {}
    ~contexts_waiters() override;
    void enter(one_shot& event);
    void leave(one_shot& event);
    bool is_ending() const noexcept { return ending_; }
    // False in a forked child whose context was not told of the fork (io_context::notify_fork).
    bool is_of_this_process() const noexcept
    {
        return process_.load(std::memory_order_relaxed) == this_process();
    }

private:
    void shutdown() override;
    void notify_fork(boost::asio::execution_context::fork_event event) override
    {
        if (event == boost::asio::execution_context::fork_child) process_ = this_process();
    }

    std::atomic<std::uint32_t> process_{this_process_watched()};
    inline static std::atomic<std::uint64_t> ended_{0};
    std::mutex mutex_; // taken with that of a one_shot held, not the other way round
    boost::intrusive::list<waited_for, boost::intrusive::base_hook<waited_for>> all_;
    // No waiter can be resumed any more: a handler that is posted now would never be destroyed.
    std::atomic<bool> ending_{false};
};

// Shared between the waiter and who tells it; whoever comes first (the event, the deadline, a cancellation)
// completes the waiter, by post, and the others find it gone.
class one_shot : public std::enable_shared_from_this<one_shot>, public waited_for
{
public:
    one_shot() = default;
    one_shot(const one_shot&) = delete;
    one_shot& operator=(const one_shot&) = delete;
    ~one_shot();

    using time_point = std::chrono::steady_clock::time_point;

    // From any thread, once or more often. Told before the wait, it is remembered.
    void tell();
    bool told() const;

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
    friend contexts_waiters;
    using handler = boost::asio::any_completion_handler<void(wake)>;

    // Moved by construction only: Boost 1.81's any_completion_handler recurses for ever when it is assigned.
    struct waiter
    {
        handler resume;
        boost::asio::any_io_executor executor; // with outstanding work: its context runs on while we wait
        contexts_waiters& context;
    };

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
                     boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked),
                     contexts_waiters::of(executor)};
        std::lock_guard lock(mutex_);
        waiting_.emplace(std::move(added));
        if (told_) return complete(wake::done);
        waiting_->context.enter(*this);
        // Before anyone may resume the waiter, who then touches the timer on another thread.
        if (timer)
            timer->async_wait([weak = weak_from_this()](boost::system::error_code ec) {
                auto self = weak.lock();
                if (self && !ec) self->give_up(wake::expired);
            });
    }

    void give_up(wake why);
    void complete(wake why);
    void forget();

    mutable std::mutex mutex_;
    std::optional<waiter> waiting_;
    bool told_ = false;
};

} // namespace pgcoro::detail
