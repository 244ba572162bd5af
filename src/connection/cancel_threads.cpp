#include "connection/cancel_threads.hpp"

#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

namespace pgcoro::detail
{
namespace
{

// False where the system gives no thread.
template <class Body>
bool start(Body body)
{
    try {
        std::thread(std::move(body)).detach();
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

} // namespace

cancel_threads& cancel_threads::of_the_process()
{
    static auto& only = *new cancel_threads;
    return only;
}

void cancel_threads::run(std::function<void()> request, std::function<void()> ended)
{
    {
        std::lock_guard lock(mutex_);
        if (working_.size() < most) {
            waiting_.push_back({std::move(request), ended});
            if (!dispatching_) dispatching_ = start([this] { dispatch(); });
            if (dispatching_) {
                changed_.notify_all();
                return;
            }
            waiting_.pop_back();
        }
    }
    ended();
}

// Sees to it that each job that waits gets a thread, as soon as fewer than at_once are at work that are not
// stuck.
void cancel_threads::dispatch()
{
    std::unique_lock lock(mutex_);
    auto wanted = [this] { return waiting_.size() > idle_; };
    while (changed_.wait_for(lock, kept_idle, wanted)) {
        auto first_not_stuck = working_.upper_bound(clock::now() - stuck_after);
        auto there = idle_ + static_cast<std::size_t>(std::distance(first_not_stuck, working_.end()));
        bool may = there < at_once && idle_ + working_.size() < most;
        if (may && start([this] { work(); }))
            ++idle_;
        else if (first_not_stuck != working_.end())
            changed_.wait_until(lock, *first_not_stuck + stuck_after);
        else
            changed_.wait_for(lock, stuck_after);
    }
    dispatching_ = false;
}

void cancel_threads::work()
{
    std::unique_lock lock(mutex_);
    while (changed_.wait_for(lock, kept_idle, [this] { return !waiting_.empty(); })) {
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        --idle_;
        auto begun = working_.insert(clock::now());
        lock.unlock();
        next.request();
        next.ended();
        lock.lock();
        working_.erase(begun);
        ++idle_;
        changed_.notify_all();
    }
    --idle_;
}

} // namespace pgcoro::detail
