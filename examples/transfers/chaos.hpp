#pragma once

#include <pgcoro/testing/server.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <random>
#include <string>
#include <thread>

namespace transfers
{

/// Mistreats a server, on a thread of its own because that blocks: kills backends at random every now and
/// then, and restarts the server once, half way.
class chaos
{
public:
    /// Begins. Kills who calls himself `application`. `server` belongs to this object until stop() returns.
    chaos(pgcoro::testing::server& server, std::string application, std::chrono::seconds duration);

    /// Ends it; the server runs then. Blocks for as long as a restart takes. Throws what went wrong on the
    /// thread. Done before the destructor, which throws nothing.
    void stop();

    /// From any thread.
    std::uint64_t backends_killed() const noexcept { return killed_; }
    std::uint64_t restarts() const noexcept { return restarts_; }

private:
    void run(std::stop_token stopped);
    void kill_some();

    pgcoro::testing::server& server_;
    std::string kill_;
    std::chrono::steady_clock::time_point restart_at_;
    std::mt19937 rng_{std::random_device{}()};
    std::atomic<std::uint64_t> killed_ = 0;
    std::atomic<std::uint64_t> restarts_ = 0;
    std::exception_ptr failure_;
    std::jthread thread_; // the last: it uses all the others
};

} // namespace transfers
