// Coroutines on a pool, for as long as a run takes.
#pragma once

#include "environment.hpp"
#include "floor/point.hpp"
#include "measure.hpp"
#include "random.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <exception>
#include <string>
#include <vector>

namespace bench
{

namespace asio = boost::asio;

// One event loop, one pool, one thread: the one that calls run().
class callers
{
public:
    callers(const environment& where, std::size_t connections, pgcoro::observer* told = nullptr)
        : pool_(io_.get_executor(), with(where.pool(connections), told))
    {
        run_to_end(pool_.warm_up());
    }

    asio::io_context::executor_type executor() { return io_.get_executor(); }
    pgcoro::pool& pool() { return pool_; }
    // They are to come to an end.
    bool stop() const { return stop_; }

    // Runs `work(i)`, for i from 0, in n coroutines at once; each ends soon after stop() and gives the number
    // of operations it did.
    template <class Work>
    sample run(std::size_t n, seconds how_long, Work work)
    {
        return measured([&] {
            stop_ = false;
            asio::steady_timer timer(io_, std::chrono::duration_cast<std::chrono::nanoseconds>(how_long));
            timer.async_wait([this](boost::system::error_code ec) { stop_ = !ec; });
            each_.assign(n, 0);
            auto left = n;
            std::exception_ptr failure;
            for (std::size_t i = 0; i < n; ++i)
                asio::co_spawn(io_, work(i), [&, i](std::exception_ptr e, std::uint64_t operations) {
                    if (e) failure = e;
                    each_[i] = operations;
                    if (--left == 0 || e) io_.stop();
                });
            io_.restart();
            io_.run();
            if (failure) std::rethrow_exception(failure);
            std::uint64_t sum = 0;
            for (auto operations : each_) sum += operations;
            return sum;
        });
    }

    // What each coroutine of the last run did.
    const std::vector<std::uint64_t>& each() const { return each_; }

    void run_to_end(asio::awaitable<void> work)
    {
        std::exception_ptr failure;
        asio::co_spawn(io_, std::move(work), [&](std::exception_ptr e) {
            failure = e;
            io_.stop();
        });
        io_.restart();
        io_.run();
        if (failure) std::rethrow_exception(failure);
    }

private:
    static pgcoro::pool_options with(pgcoro::pool_options options, pgcoro::observer* told)
    {
        options.observer = told;
        return options;
    }

    asio::io_context io_{1};
    pgcoro::pool pool_;
    bool stop_ = false;
    std::vector<std::uint64_t> each_;
};

// One row by its key, on a lease of its own each time.
inline asio::awaitable<std::uint64_t> select_by_lease(callers& all, std::size_t who)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto id = rows.upto(environment::accounts);
        auto conn = co_await all.pool().acquire();
        auto got = co_await conn->query_value<account>(floor::point_sql, id);
        floor::check(got, id);
    }
    co_return done;
}

} // namespace bench
