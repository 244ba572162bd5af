// Processes that read by way of caches of their own, and what they say of it.
#pragma once

#include "integration/cache/support.hpp"

#include <atomic>
#include <functional>
#include <new>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

inline constexpr const char* value_of = "select value from cached.counter where id = $1";

inline pgcoro::cache_options coherent()
{
    pgcoro::cache_options o;
    o.coherent = true;
    return o;
}

inline asio::awaitable<void> install(std::vector<std::string> tables)
{
    auto conn = co_await pgcoro::connection::connect(shared_options());
    co_await pgcoro::install_cache_triggers(conn, std::move(tables));
}

inline asio::awaitable<void> until_it_follows(pgcoro::query_cache& cache)
{
    while (!cache.stats().following) co_await yield();
}

/// What the processes of one test have in common.
struct common
{
    static constexpr int most = 100'000;

    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> acknowledged[most] = {}; // when the COMMIT of each value was answered
    std::atomic<int> ready{0};
    std::atomic<std::uint64_t> reads{0};
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> second_hits{0};
    std::atomic<std::uint64_t> gaps{0};
    std::atomic<std::int64_t> stalest{0}; // ns between the answer to a COMMIT and a read that did not see it
    std::atomic<int> failures{0};
};

/// CLOCK_MONOTONIC: one time line for all processes.
inline std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

inline asio::awaitable<void> read_until_stopped(common& all, pgcoro::query_cache& cache)
{
    co_await until_it_follows(cache);
    ++all.ready;
    asio::steady_timer pause(co_await asio::this_coro::executor);
    while (!all.stop) {
        pause.expires_after(
            std::chrono::microseconds(200)); // a hit does not suspend: the listener wants its turn
        co_await pause.async_wait(asio::deferred);
        auto begun = now_ns();
        try {
            auto got = co_await cache.query(value_of, 1);
            ++all.reads;
            if (got.origin() == pgcoro::cache_origin::hit) ++all.hits;
            if (got.origin() == pgcoro::cache_origin::second) ++all.second_hits;
            auto next = all.acknowledged[got->as_value<int>() + 1].load();
            if (next == 0 || next >= begun) continue;
            auto stale = begun - next;
            auto most = all.stalest.load();
            while (stale > most && !all.stalest.compare_exchange_weak(most, stale)) {
            }
        } catch (const pgcoro::error& e) {
            if (!e.is_transient() && !e.invalidates_connection()) ++all.failures;
        }
    }
    all.gaps += cache.stats().gaps;
}

/// What else a reader's cache wants; made in its process.
using arrangement = std::function<void(pgcoro::cache_options&, asio::any_io_executor)>;

/// A process of its own that reads by way of a cache until it is told to stop.
inline void reader(common& all, pgcoro::connection_options there, const pgcoro::coherence_options& how,
                   const arrangement& arrange)
{
    asio::io_context io;
    pgcoro::pool_options o;
    o.connection = there;
    o.connection.application_name = "reader";
    pgcoro::pool p(io.get_executor(), o);
    auto options = coherent();
    if (arrange) arrange(options, io.get_executor());
    pgcoro::query_cache cache(io.get_executor(), p, options);
    there.application_name = "ears";
    cache.follow(there, how);
    asio::co_spawn(io, read_until_stopped(all, cache), [&](std::exception_ptr e) {
        if (e) ++all.failures;
        io.stop();
    });
    io.run();
}

/// Three of them; they end with the object.
class readers
{
public:
    readers(common& all, const pgcoro::coherence_options& how, const arrangement& arrange = {})
        : all_(all)
    {
        auto there = shared_options(); // only this process can tell whether the server runs
        for (auto& pid : pids_) {
            pid = ::fork();
            if (pid != 0) continue;
            try {
                reader(all, there, how, arrange);
            } catch (...) {
                ++all.failures;
            }
            ::_exit(0);
        }
    }
    readers(const readers&) = delete;
    ~readers() { stop(); }

    void stop()
    {
        all_.stop = true;
        for (auto& pid : pids_) {
            int status = 0;
            if (pid > 0 && (::waitpid(pid, &status, 0) != pid || status != 0)) ++all_.failures;
            pid = 0;
        }
    }

private:
    common& all_;
    pid_t pids_[3] = {};
};

struct shared_memory
{
    shared_memory()
        : at(::mmap(nullptr, sizeof(common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
    {
        if (at == MAP_FAILED) throw std::runtime_error("mmap failed");
        all = new (at) common;
    }
    ~shared_memory() { ::munmap(at, sizeof(common)); }

    void* at;
    common* all;
};
