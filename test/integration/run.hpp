#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

/// How long a test may wait for anything before it has failed. Generous: busy machines, and sanitizers.
#ifdef PGCORO_SANITIZED
inline constexpr std::chrono::seconds patience{150};
#else
inline constexpr std::chrono::seconds patience{120};
#endif

/// The name of the test that runs, for who looks at a hang.
inline std::string test_name() { return boost::unit_test::framework::current_test_unit().full_name(); }

/// Ends the process, with the test's name, when the test's thread itself hangs: nothing else can help then.
class watchdog
{
public:
    explicit watchdog(std::chrono::seconds limit)
        : name_(test_name())
        , thread_([this, limit] {
            std::unique_lock lock(mutex_);
            if (ended_.wait_for(lock, limit, [this] { return over_; })) return;
            std::fprintf(stderr, "\n*** test %s blocks its thread for %lld s: giving up\n", name_.c_str(),
                         static_cast<long long>(limit.count()));
            std::abort();
        })
    {}
    ~watchdog()
    {
        {
            std::lock_guard lock(mutex_);
            over_ = true;
        }
        ended_.notify_all();
        thread_.join();
    }

private:
    std::string name_;
    std::mutex mutex_;
    std::condition_variable ended_;
    bool over_ = false;
    std::thread thread_;
};

/// Runs the coroutine that `body()` returns on `io` until it has ended; gives what it returned, or rethrows.
/// A coroutine that hangs is a `std::runtime_error` with the test's name. What else was started on `io` is
/// left where it is.
template <class Body>
auto run_on(boost::asio::io_context& io, Body&& body)
{
    using awaitable = std::invoke_result_t<Body&>;
    using value = typename awaitable::value_type;
    watchdog dog(2 * patience);
    std::exception_ptr error;
    bool done = false;
    auto finish = [&] {
        auto until = std::chrono::steady_clock::now() + patience;
        io.restart();
        while (!done && std::chrono::steady_clock::now() < until)
            if (io.run_one_until(until) == 0) break;
        if (!done) throw std::runtime_error("test " + test_name() + ": the coroutine hangs");
        if (error) std::rethrow_exception(error);
    };
    auto ended = [&](std::exception_ptr e) {
        error = std::move(e);
        done = true;
    };
    if constexpr (std::is_void_v<value>) {
        boost::asio::co_spawn(io, body(), ended);
        finish();
    } else {
        std::optional<value> made; // co_spawn itself wants a value that can be default-constructed
        auto keep = [&]() -> boost::asio::awaitable<void> {
            auto got = co_await body();
            made.emplace(std::move(got));
        };
        boost::asio::co_spawn(io, keep(), ended);
        finish();
        return std::move(*made);
    }
}

/// `run_on` an io_context of its own, which is destroyed with whatever is left on it.
template <class Body>
auto run(Body&& body)
{
    boost::asio::io_context io;
    return run_on(io, body);
}
