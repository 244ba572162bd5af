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

// Runs calls that may block for long and have no time limit of their own, such as getaddrinfo() and
// PQcancel(), on a bounded number of threads that exist only while there are calls to run. Few run at once,
// but a call that is stuck holds up no other call: another thread takes its place.
//
// No thread is ever joined, because the process must be able to end while a call hangs. Instances are
// therefore never destroyed: use those of for_lookups() and for_cancel_requests(). Each kind of call has its
// own threads, so that look-ups that hang do not hold up cancel requests.
class blocking_threads
{
public:
    static constexpr std::chrono::seconds stuck_after{1};
    static constexpr std::chrono::seconds kept_idle{5};
    // Including the threads that are stuck.
    static constexpr std::size_t most = 64;

    static blocking_threads& for_lookups();
    static blocking_threads& for_cancel_requests();

    // Runs `call` soon. Returns false, and never runs it, if `most` threads are at work or the system has no
    // thread left. `call` must not throw. Throws std::bad_alloc. From any thread.
    [[nodiscard]] bool run(std::function<void()> call);

private:
    explicit blocking_threads(std::size_t at_once)
        : at_once_(at_once)
    {}

    void dispatch();
    void work();

    const std::size_t at_once_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> waiting_;
    std::multiset<clock::time_point> working_; // when each busy thread began its present call
    std::size_t idle_ = 0;                     // threads that are free for a call
    bool dispatching_ = false;
};

} // namespace pgcoro::detail
