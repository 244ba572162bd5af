// P3: what does the pool itself cost, when a connection is there?
#include "callers.hpp"
#include "measures/measures.hpp"

#include <mutex>
#include <thread>

namespace bench
{

namespace
{

constexpr std::size_t connections = 16;
constexpr std::size_t threads = 4;
constexpr std::uint64_t between_looks = 4'096; // at the clock

using clock = std::chrono::steady_clock;

asio::awaitable<void> acquire_until(pgcoro::pool& pool, clock::time_point end, std::uint64_t& done)
{
    do {
        for (std::uint64_t i = 0; i < between_looks; ++i) auto conn = co_await pool.acquire();
        done += between_looks;
    } while (clock::now() < end);
}

// So many event loops, each with a thread while a run lasts. They outlive the pool whose connections they
// use.
class acquirers
{
public:
    acquirers(const environment& where, std::size_t n)
        : where_(where)
        , loops_(n)
        , all_(where, connections)
    {}

    sample run(seconds how_long)
    {
        on_cores every(where_.all_cores());
        auto s = measured([&] { return acquire(how_long); });
        s.extra["elapsed ns"] = 1e9 * s.elapsed / static_cast<double>(s.operations);
        return s;
    }

private:
    std::uint64_t acquire(seconds how_long)
    {
        auto end = clock::now() + std::chrono::duration_cast<clock::duration>(how_long);
        std::vector<std::uint64_t> done(loops_.size() * spread);
        std::vector<std::thread> running;
        std::exception_ptr failure;
        std::mutex mutex;
        for (std::size_t i = 0; i < loops_.size(); ++i) {
            auto& io = loops_[i];
            asio::co_spawn(io, acquire_until(all_.pool(), end, done[i * spread]), [&](std::exception_ptr e) {
                std::lock_guard lock(mutex);
                if (e) failure = e;
            });
            io.restart();
            running.emplace_back([&io] { io.run(); });
        }
        for (auto& t : running) t.join();
        if (failure) std::rethrow_exception(failure);
        std::uint64_t sum = 0;
        for (auto n : done) sum += n;
        return sum;
    }

    static constexpr std::size_t spread = 16; // counters on cache lines of their own

    const environment& where_;
    std::vector<asio::io_context> loops_;
    callers all_;
};

// The least that a pool for several threads can be: a stack under a mutex.
class stack_pool
{
public:
    stack_pool()
    {
        for (std::size_t i = 0; i < connections; ++i) free_.push_back(&things_[i]);
    }
    int* acquire()
    {
        std::lock_guard lock(mutex_);
        auto* taken = free_.back();
        free_.pop_back();
        return taken;
    }
    void release(int* thing)
    {
        std::lock_guard lock(mutex_);
        free_.push_back(thing);
    }

private:
    std::mutex mutex_;
    int things_[connections] = {};
    std::vector<int*> free_;
};

sample run_stack(stack_pool& pool, seconds how_long)
{
    return measured([&] {
        auto end = clock::now() + std::chrono::duration_cast<clock::duration>(how_long);
        std::uint64_t done = 0;
        do {
            for (std::uint64_t i = 0; i < between_looks; ++i) {
                auto* thing = pool.acquire();
                ++*thing; // or the compiler might see through it all
                pool.release(thing);
            }
            done += between_looks;
        } while (clock::now() < end);
        return done;
    });
}

const std::string four = "pgcoro, 4 threads";

} // namespace

measure acquire_release(const environment& where)
{
    measure m;
    m.id = "P3";
    m.title = "acquire and release, a connection is idle";
    auto one = std::make_shared<acquirers>(where, 1);
    m.contenders.push_back({ours, [one](seconds how_long) { return one->run(how_long); }});
    auto several = std::make_shared<acquirers>(where, threads);
    m.contenders.push_back({four, [several](seconds how_long) { return several->run(how_long); }});
    auto stack = std::make_shared<stack_pool>();
    m.contenders.push_back({the_floor, [stack](seconds how_long) { return run_stack(*stack, how_long); }});
    m.goals.push_back(
        {"one thread, ns", goal::at_most, 100, [](const samples& s) { return least_cpu_ns(s, ours); }});
    m.goals.push_back({"4 threads / one, CPU", goal::at_most, 2,
                       [](const samples& s) { return cpu_ratio(s, four, ours); }});
    return m;
}

} // namespace bench
