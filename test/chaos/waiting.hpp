#pragma once

#include "watch.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace chaos
{

/// Something hangs: nothing can be cleaned up any more.
struct hang : std::runtime_error
{
    using std::runtime_error::runtime_error;
};

/// How long what must come to an end may take to.
inline constexpr std::chrono::seconds patience{60};

/// "1.234 s".
std::string in_seconds(clock::duration d);

/// What comes of it; throws `hang` with its name when nothing does.
template <class T>
T get(std::future<T> what, const std::string& name)
{
    if (what.wait_for(patience) == std::future_status::timeout)
        throw hang(name + " has not ended after " + std::to_string(patience.count()) + " s");
    return what.get();
}

/// Waits until the condition holds; false when it does not in time.
template <class Condition>
bool within(std::chrono::seconds limit, Condition condition)
{
    for (auto until = clock::now() + limit; !condition();
         std::this_thread::sleep_for(std::chrono::milliseconds(5)))
        if (clock::now() > until) return false;
    return true;
}

/// Runs an I/O context on a thread, until it has no work left.
class loop
{
public:
    loop()
        : thread_([this] {
            io_.run();
            ended_ = true;
        })
    {}
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop() { halt(); }
    /// Nothing runs any more when this returns: before what it runs on is destroyed in the middle of things.
    void halt()
    {
        io_.stop();
        if (thread_.joinable()) thread_.join();
    }
    boost::asio::io_context& io() { return io_; }
    bool ended() const { return ended_; }
    void release() { busy_.reset(); }

private:
    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_ =
        boost::asio::make_work_guard(io_);
    std::atomic<bool> ended_ = false;
    std::thread thread_;
};

} // namespace chaos
