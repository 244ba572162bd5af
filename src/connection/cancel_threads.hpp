#pragma once

#include "connection/clock.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <set>

namespace pgcoro::detail
{

// Runs what may block for long, cancel requests, on threads that are there only while there is something to
// do. PQcancel has no time limit: when the network swallows what is said, it waits for as long as TCP does,
// or for ever. So few run at once, but one that is stuck holds up no other: another thread takes its place.
//
// Nothing here is ever joined, because the process must be able to end: there is one for the process, which
// is not destroyed.
class cancel_threads
{
public:
    static constexpr std::size_t at_once = 3;
    static constexpr std::chrono::seconds stuck_after{1};
    static constexpr std::chrono::seconds kept_idle{5};
    // Those that are stuck included. What comes beyond is not run, and told as ended: it is then up to the
    // bounds of what was to be cancelled.
    static constexpr std::size_t most = 64;

    static cancel_threads& of_the_process();

    // Runs `request`, then tells by `ended`. Throws nothing but std::bad_alloc.
    void run(std::function<void()> request, std::function<void()> ended);

private:
    struct job
    {
        std::function<void()> request;
        std::function<void()> ended;
    };

    void dispatch();
    void work();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<job> waiting_;
    std::multiset<clock::time_point> working_; // since when each thread has been at its present job
    std::size_t idle_ = 0;                     // threads that are free for a job
    bool dispatching_ = false;
};

} // namespace pgcoro::detail
