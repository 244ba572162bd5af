#include "connection/blocking_threads.hpp"

#include <pgcoro/detail/time.hpp>

#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

namespace pgcoro::detail
{
namespace
{

// Returns false if the system gives no thread.
template <class Body>
bool start_thread(Body body)
{
    try {
        std::thread(std::move(body)).detach();
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

} // namespace

blocking_threads& blocking_threads::for_lookups()
{
    static auto& only = *new blocking_threads(8);
    return only;
}

blocking_threads& blocking_threads::for_cancel_requests()
{
    static auto& only = *new blocking_threads(3);
    return only;
}

bool blocking_threads::run(std::function<void()> call)
{
    std::lock_guard lock(mutex_);
    if (working_.size() + waiting_.size() >= most) return false;
    waiting_.push_back(std::move(call));
    if (!dispatching_) dispatching_ = start_thread([this] { dispatch(); });
    if (!dispatching_) {
        waiting_.pop_back();
        return false;
    }
    changed_.notify_all();
    return true;
}

// Starts a thread for each call that waits as soon as fewer than at_once_ threads are at work and not stuck.
void blocking_threads::dispatch()
{
    std::unique_lock lock(mutex_);
    auto wanted = [this] { return waiting_.size() > idle_; };
    while (changed_.wait_for(lock, kept_idle, wanted)) {
        auto first_not_stuck = working_.upper_bound(clock::now() - stuck_after);
        auto there = idle_ + static_cast<std::size_t>(std::distance(first_not_stuck, working_.end()));
        bool may = there < at_once_ && idle_ + working_.size() < most;
        if (may && start_thread([this] { work(); }))
            ++idle_;
        else if (first_not_stuck != working_.end())
            changed_.wait_until(lock, time_after(*first_not_stuck, stuck_after));
        else
            changed_.wait_for(lock, stuck_after);
    }
    dispatching_ = false;
}

void blocking_threads::work()
{
    std::unique_lock lock(mutex_);
    while (changed_.wait_for(lock, kept_idle, [this] { return !waiting_.empty(); })) {
        auto call = std::move(waiting_.front());
        waiting_.pop_front();
        --idle_;
        auto begun = working_.insert(clock::now());
        lock.unlock();
        call();
        call = nullptr; // what it holds may lock something
        lock.lock();
        working_.erase(begun);
        ++idle_;
        changed_.notify_all();
    }
    --idle_;
}

} // namespace pgcoro::detail
