#include "load.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <iostream>
#include <random>

namespace asio = boost::asio;

asio::awaitable<void> call_over_and_over(bank& of, int accounts, unsigned seed, load_figures& figures)
{
    std::mt19937 random(seed);
    std::uniform_int_distribution<std::int64_t> any(1, accounts);
    std::uniform_int_distribution<std::int64_t> hot(1, 10); // that everybody wants
    std::uniform_int_distribution<int> kind(0, 4);
    std::exponential_distribution<double> pause(50); // calls a second
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    for (;;) {
        timer.expires_after(std::chrono::microseconds(static_cast<int>(1e6 * pause(random))));
        co_await timer.async_wait(asio::deferred);
        try {
            if (kind(random) > 0)
                co_await of.find(any(random));
            else
                co_await of.transfer(hot(random), any(random), 1);
            ++figures.done;
        } catch (const pgcoro::error& e) {
            ++figures.failed;
            std::cerr << "service: " << e.what() << '\n';
        }
    }
}
