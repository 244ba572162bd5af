// One pool, many threads: what comes back to a thread without the pool's lock is lost to nobody.
#include "integration/pool/support.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

using namespace pgcoro;

namespace
{

/// A thread of its own for a pool's background work.
class background
{
public:
    background()
        : thread_([this] { io_.run(); })
    {}
    ~background()
    {
        work_.reset();
        thread_.join();
    }
    auto executor() { return io_.get_executor(); }

private:
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
    std::thread thread_;
};

/// Runs it on a thread of its own, to its end.
template <class T>
T on_a_thread(asio::awaitable<T> work)
{
    asio::io_context io;
    auto end = asio::co_spawn(io, std::move(work), asio::use_future);
    std::thread thread([&] { io.run(); });
    thread.join();
    return end.get();
}

asio::awaitable<int> who_serves(pool& p)
{
    lease held = co_await p.acquire();
    co_return held->backend_pid();
}

/// Which connections are leased just now, to find one that two have.
class holders
{
public:
    void begin(int pid)
    {
        std::lock_guard lock(mutex_);
        if (++now_[pid] != 1) ++doubled_;
    }
    void end(int pid)
    {
        std::lock_guard lock(mutex_);
        --now_[pid];
    }
    int doubled() const
    {
        std::lock_guard lock(mutex_);
        return doubled_;
    }

private:
    mutable std::mutex mutex_;
    std::map<int, int> now_;
    int doubled_ = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(pool_threads)

BOOST_AUTO_TEST_CASE(one_pool_serves_many_threads_and_each_coroutine_stays_on_its_own)
{
    background of_pool;
    {
        pool p(of_pool.executor(), options_of(4, 4));
        asio::thread_pool plain(3);
        std::atomic<int> done{0};
        std::atomic<int> strays{0};
        std::vector<std::future<void>> ends;
        std::deque<asio::io_context> contexts(2);
        std::vector<std::thread> threads;
        auto work = [&](int rounds) -> asio::awaitable<void> {
            auto executor = co_await asio::this_coro::executor;
            for (int i = 0; i < rounds; ++i) {
                lease held = co_await p.acquire();
                auto got = co_await held->query_value<int>("select $1::int", i);
                if (got != i) throw std::runtime_error("a wrong answer");
                if (auto* io = executor.target<asio::io_context::executor_type>();
                    io && !io->running_in_this_thread())
                    ++strays;
                ++done;
            }
        };
        for (int i = 0; i < 12; ++i) ends.push_back(asio::co_spawn(plain, work(50), asio::use_future));
        for (auto& io : contexts) {
            for (int i = 0; i < 6; ++i) ends.push_back(asio::co_spawn(io, work(50), asio::use_future));
            threads.emplace_back([&io] { io.run(); });
        }
        for (auto& end : ends) BOOST_CHECK_NO_THROW(end.get());
        for (auto& t : threads) t.join();
        plain.join();
        BOOST_TEST(done == 24 * 50);
        BOOST_TEST(strays == 0);
        BOOST_TEST(p.stats().in_use == 0u);
        asio::co_spawn(of_pool.executor(), p.close(), asio::use_future).get();
    }
}

BOOST_AUTO_TEST_CASE(what_came_back_on_one_thread_is_there_for_the_others)
{
    background of_pool;
    pool p(of_pool.executor(), options_of(1));
    auto first = on_a_thread(who_serves(p));
    BOOST_TEST(p.stats().idle == 1u);
    BOOST_TEST(p.stats().in_use == 0u);
    for (int i = 0; i < 20; ++i) BOOST_TEST(on_a_thread(who_serves(p)) == first);
    BOOST_TEST(p.stats().acquired == 21u);
    BOOST_TEST(p.stats().connects == 1u);
}

BOOST_AUTO_TEST_CASE(an_eviction_finds_what_came_back_on_any_thread)
{
    background of_pool;
    pool p(of_pool.executor(), options_of(1));
    auto first = on_a_thread(who_serves(p));
    p.evict();
    BOOST_TEST(p.stats().idle == 0u);
    BOOST_TEST(on_a_thread(who_serves(p)) != first);
}

BOOST_AUTO_TEST_CASE(no_connection_is_lost_or_had_by_two_whatever_happens_to_the_pool_meanwhile)
{
    constexpr std::size_t size = 3;
    constexpr int threads = 4;
    constexpr int callers_each = 2;
    constexpr int rounds = 3'000;
    background of_pool;
    pool p(of_pool.executor(), options_of(size));
    holders who;
    std::atomic<int> done{0};
    auto work = [&]() -> asio::awaitable<void> {
        for (int i = 0; i < rounds; ++i) {
            lease held = co_await p.acquire();
            auto pid = held->backend_pid();
            who.begin(pid);
            if (i % 16 == 0) co_await asio::post(asio::deferred); // others have their turn while it is held
            who.end(pid);
            ++done;
        }
    };
    std::deque<asio::io_context> contexts(threads);
    std::vector<std::future<void>> ends;
    std::vector<std::thread> running;
    for (auto& io : contexts) {
        for (int i = 0; i < callers_each; ++i) ends.push_back(asio::co_spawn(io, work(), asio::use_future));
        running.emplace_back([&io] { io.run(); });
    }
    constexpr int all = threads * callers_each * rounds;
    int done_at_eviction = -1;
    for (int turn = 0; done < all; ++turn) {
        auto s = p.stats();
        BOOST_TEST_REQUIRE(s.idle + s.in_use + s.cleaning + s.connecting <= size);
        BOOST_TEST_REQUIRE(s.idle <= size); // neither does one count twice
        BOOST_TEST_REQUIRE(s.in_use <= size);
        // Connects that an eviction overtakes are replaced: evicting faster than they arrive would starve the callers.
        if (turn % 3 == 0 && done > done_at_eviction) {
            done_at_eviction = done;
            p.evict();
        }
        p.suspend();
        std::this_thread::yield();
        p.resume();
        std::this_thread::sleep_for(1ms);
    }
    for (auto& end : ends) BOOST_CHECK_NO_THROW(end.get());
    for (auto& t : running) t.join();
    BOOST_TEST(who.doubled() == 0);
    auto s = p.stats();
    BOOST_TEST(s.in_use == 0u);
    BOOST_TEST(s.waiting == 0u);
    BOOST_TEST(s.acquired == static_cast<std::uint64_t>(all));
}

BOOST_AUTO_TEST_CASE(leases_come_back_on_their_threads_while_the_pool_is_destroyed_on_another)
{
    background of_pool;
    constexpr std::size_t leases = 3;
    for (int round = 0; round < 30; ++round) {
        auto p = std::make_unique<pool>(of_pool.executor(), options_of(leases));
        std::vector<lease> held;
        for (std::size_t i = 0; i < leases; ++i) held.push_back(on_a_thread(p->acquire()));
        std::atomic<int> ready{0};
        auto all_at_once = [&] {
            for (++ready; ready <= static_cast<int>(leases);) std::this_thread::yield();
        };
        std::vector<std::thread> threads;
        for (auto& one : held)
            threads.emplace_back([&] {
                all_at_once();
                one.release();
            });
        all_at_once();
        p.reset();
        for (auto& t : threads) t.join();
    }
    auto left = "select count(*) from pg_stat_activity where application_name = '" + options_of(1).name + "'";
    int looks = 0;
    while (shared_server().psql(left) != "0" && ++looks < 1'000) std::this_thread::sleep_for(10ms);
    BOOST_TEST(shared_server().psql(left) == "0");
}

BOOST_AUTO_TEST_SUITE_END()
