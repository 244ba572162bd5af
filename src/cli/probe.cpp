#include "cli/probe.hpp"

#include <pgcoro/error/error.hpp>

namespace pgcoro::cli
{

namespace asio = boost::asio;

asio::awaitable<void> round_trips(connection& c, int count, circuit_breaker& breaker, probes& into)
{
    auto ask = [&c]() -> asio::awaitable<int> {
        auto one = co_await c.query_value<int>("select 1");
        co_return one;
    };
    co_await ask(); // the first one is prepared: it takes longer, and says nothing
    for (int i = 0; i < count && breaker.status().state == breaker_state::closed; ++i) {
        ++into.made;
        auto begun = std::chrono::steady_clock::now();
        try {
            co_await breaker.run(ask);
        } catch (const error&) {
            continue; // it is counted as one that was not answered
        }
        ++into.answered;
        into.times.record(std::chrono::steady_clock::now() - begun);
    }
}

} // namespace pgcoro::cli
