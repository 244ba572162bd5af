#pragma once

#include "watch.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>

namespace chaos
{

/// Says what hangs, and ends the program: what hangs still uses what would be destroyed. Servers and folders
/// end by themselves.
[[noreturn]] void give_up(const std::string& what_hangs);

/// How long what must come to an end may take to.
inline constexpr std::chrono::seconds patience{60};

/// "1.234 s".
std::string in_seconds(clock::duration d);

/// What comes of it; gives up, with its name, when nothing does.
template <class T>
T get(std::future<T> what, const std::string& name)
{
    if (what.wait_for(patience) == std::future_status::timeout)
        give_up(name + " has not ended after " + std::to_string(patience.count()) + " s");
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
    ~loop()
    {
        io_.stop();
        thread_.join();
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
