#include "callers.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <random>
#include <utility>
#include <vector>

namespace transfers
{

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

namespace
{

// Ten rows that sixteen connections fight for: at serializable, many attempts fail. A short longest
// delay and many attempts are right here, and would be wrong for a server that is merely overloaded.
pgcoro::retry_policy patient_retry()
{
    auto policy = pgcoro::transaction_retry();
    policy.max_attempts = 100;
    policy.backoff =
        pgcoro::backoff::exponential(std::chrono::milliseconds(5), std::chrono::milliseconds(100));
    return policy;
}

} // namespace

asio::awaitable<void> callers::run(std::chrono::seconds duration)
{
    auto executor = co_await asio::this_coro::executor;
    auto begun = clock::now();
    until_ = begun + duration;
    using operation = decltype(asio::co_spawn(executor, call(0), asio::deferred));
    std::vector<operation> all;
    for (int i = 0; i < how_many_; ++i) all.push_back(asio::co_spawn(executor, call(i), asio::deferred));
    auto group = asio::experimental::make_parallel_group(std::move(all));
    auto [order, failures] =
        co_await group.async_wait(asio::experimental::wait_for_one_error(), asio::use_awaitable);
    ran_ = clock::now() - begun;
    for (auto i : order)
        if (failures[i]) std::rethrow_exception(failures[i]); // the first: the others were cancelled by it
}

asio::awaitable<void> callers::call(int number)
{
    std::mt19937 rng(std::random_device{}());
    while (!stopped_ && clock::now() < until_) co_await ask(number, rng);
}

asio::awaitable<fate> callers::ask(int caller, std::mt19937& rng)
{
    auto t = random_transfer(rng);
    t.id = journal_.ask(caller);
    pgcoro::transaction_metrics metrics;
    pgcoro::transaction_options options;
    options.name = "transfer";
    options.isolation =
        (t.id + caller) % 2 == 0 ? pgcoro::isolation::serializable : pgcoro::isolation::read_committed;
    options.timeout = limit_;
    options.retry = patient_retry();
    // A lock that was waited for too long is worth another attempt, like one that ended in a deadlock.
    options.retry_if = [](const pgcoro::error& e) {
        return e.sqlstate() == pgcoro::sqlstates::lock_not_available;
    };
    options.metrics = &metrics;

    auto begun = clock::now();
    auto came = fate::failed;
    std::string error;
    try {
        co_await bank_.move(t, options);
        came = fate::done;
        journal_.times.push_back(std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begun));
    } catch (const pgcoro::error& e) {
        if (dynamic_cast<const pgcoro::commit_unknown*>(&e)) came = fate::unknown;
        error = e.what();
    }
    journal_.settle(t.id, came, std::move(error));
    journal_.metrics += metrics;
    co_return came;
}

} // namespace transfers
