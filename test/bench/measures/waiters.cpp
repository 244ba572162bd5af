// P8: many callers that wait for few connections: what does one cost, and is each served in its turn?
#include "callers.hpp"
#include "measures/measures.hpp"
#include "random.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace bench
{

namespace
{

constexpr std::size_t connections = 16;

// Holds a connection for one turn of the event loop: nothing but waiting and its end is measured.
asio::awaitable<std::uint64_t> take_turns(callers& all)
{
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto conn = co_await all.pool().acquire();
        co_await asio::post(asio::deferred);
    }
    co_return done;
}

// What as many coroutines cost that only take turns, without a pool: the processor's caches do not hold
// 10,000.
asio::awaitable<std::uint64_t> only_take_turns(callers& all)
{
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        co_await asio::post(asio::deferred);
        co_await asio::post(asio::deferred);
    }
    co_return done;
}

asio::awaitable<std::uint64_t> select_in_turn(callers& all, std::size_t who)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto id = rows.upto(environment::accounts);
        auto conn = co_await all.pool().acquire();
        co_await conn->query_value<std::int64_t>("select cents from account where id = $1", id);
    }
    co_return done;
}

asio::awaitable<void> wait_for_lease(callers& all) { auto conn = co_await all.pool().acquire(); }

asio::awaitable<void> wait_for_event(asio::steady_timer& event)
{
    co_await event.async_wait(asio::as_tuple(asio::deferred));
}

// What n coroutines that wait in the queue use beyond n that wait for one timer, in bytes each.
asio::awaitable<void> weigh(callers& all, std::size_t n, double& bytes)
{
    auto executor = co_await asio::this_coro::executor;
    std::size_t left = n;
    auto ended = [&left](std::exception_ptr e) {
        if (e) std::rethrow_exception(e);
        --left;
    };
    auto turn = [&] { return asio::post(asio::deferred); };

    asio::steady_timer event(executor, asio::steady_timer::time_point::max());
    auto before = heap_in_use();
    for (std::size_t i = 0; i < n; ++i) asio::co_spawn(executor, wait_for_event(event), ended);
    co_await turn(); // by then all of them wait
    auto bare = heap_in_use() - before;
    event.cancel();
    while (left > 0) co_await turn();

    std::vector<pgcoro::lease> taken;
    while (taken.size() < connections) taken.push_back(co_await all.pool().acquire());
    left = n;
    before = heap_in_use();
    for (std::size_t i = 0; i < n; ++i) asio::co_spawn(executor, wait_for_lease(all), ended);
    co_await turn();
    auto queued = heap_in_use() - before;
    taken.clear();
    while (left > 0) co_await turn();
    bytes = (static_cast<double>(queued) - static_cast<double>(bare)) / static_cast<double>(n);
}

const std::string hundred = "pgcoro, 100 callers";
const std::string thousand = "pgcoro, 1,000 callers";
const std::string ten_thousand = "pgcoro, 10,000 callers";
const std::string bare_hundred = "bare coroutines, 100";
const std::string bare_ten_thousand = "bare coroutines, 10,000";
const std::string in_turn = "pgcoro, 64 callers, a select each";

const std::string memory = "bytes a waiter";
const std::string fairness = "slowest / mean";

double worst(const samples& all, const std::string& of, const std::string& extra, bool least)
{
    std::vector<double> values;
    for (auto& s : all.at(of)) values.push_back(s.extra.at(extra));
    return least ? *std::min_element(values.begin(), values.end())
                 : *std::max_element(values.begin(), values.end());
}

} // namespace

measure waiters(const environment& where)
{
    measure m;
    m.id = "P8";
    m.title = "acquire and release by many callers of a pool of 16";
    auto all = std::make_shared<callers>(where, connections);
    for (auto& [name, n] :
         {std::pair(hundred, 100), std::pair(thousand, 1'000), std::pair(ten_thousand, 10'000)}) {
        auto number = static_cast<std::size_t>(n);
        m.contenders.push_back({name, [all, number](seconds how_long) {
                                    auto s = all->run(number, how_long,
                                                      [&](std::size_t) { return take_turns(*all); });
                                    double bytes = 0;
                                    all->run_to_end(weigh(*all, number, bytes));
                                    s.extra[memory] = bytes;
                                    return s;
                                }});
    }
    for (auto& [name, n] : {std::pair(bare_hundred, 100), std::pair(bare_ten_thousand, 10'000)}) {
        auto number = static_cast<std::size_t>(n);
        m.contenders.push_back({name, [all, number](seconds how_long) {
                                    return all->run(number, how_long,
                                                    [&](std::size_t) { return only_take_turns(*all); });
                                }});
    }
    m.contenders.push_back({in_turn, [all](seconds how_long) {
                                auto s = all->run(64, how_long,
                                                  [&](std::size_t who) { return select_in_turn(*all, who); });
                                auto least = *std::min_element(all->each().begin(), all->each().end());
                                auto mean = static_cast<double>(s.operations) / 64;
                                s.extra[fairness] = static_cast<double>(least) / mean;
                                return s;
                            }});
    m.goals.push_back({"CPU at 10,000 / at 100", goal::at_most, 1.25,
                       [](const samples& s) { return cpu_ratio(s, ten_thousand, hundred); }});
    m.goals.push_back({memory + ", at 10,000", goal::at_most, 1024,
                       [](const samples& s) { return worst(s, ten_thousand, memory, false); }});
    m.goals.push_back({fairness + " caller, of 64", goal::at_least, 0.8,
                       [](const samples& s) { return worst(s, in_turn, fairness, true); }});
    return m;
}

} // namespace bench
