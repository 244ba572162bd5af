#include "reference.hpp"

#include <chrono>

using namespace std::chrono_literals;

asio::awaitable<void> show_retry()
{
    int calls = 0;
    auto fetch = [&calls]() -> asio::awaitable<int> {
        if (++calls < 3)
            throw pgcoro::connection_error(pgcoro::connection_failure::lost, "the connection was lost");
        co_return 42;
    };
    //! [retry]
    pgcoro::retry_policy policy;
    policy.max_attempts = 5;
    policy.backoff = pgcoro::backoff::exponential(1ms, 20ms); // full jitter
    auto got = co_await pgcoro::retry(policy, fetch);         // again only where is_transient() says so
    //! [retry]
    expect(got == 42 && calls == 3, "the third attempt succeeds");
}

asio::awaitable<void> show_breaker()
{
    auto call = []() -> asio::awaitable<void> {
        throw pgcoro::connection_error(pgcoro::connection_failure::lost, "nobody is there");
        co_return;
    };
    int refused = 0;
    //! [circuit_breaker]
    pgcoro::circuit_breaker breaker(pgcoro::circuit_breaker_options::consecutive(3, 30s));
    for (int i = 0; i < 5; ++i) {
        try {
            co_await breaker.run(call);
        } catch (const pgcoro::circuit_open&) {
            ++refused; // at once, and nobody was called
        } catch (const pgcoro::connection_error&) {
        }
    }
    //! [circuit_breaker]
    expect(refused == 2, "after three failures it is open");
}

asio::awaitable<void> show_deadline(std::string uri)
{
    auto conn = co_await pgcoro::connection::connect(uri);
    auto load = [&conn]() -> asio::awaitable<std::int64_t> {
        return conn.query_value<std::int64_t>("select cents from account where id = $1", 1);
    };
    //! [deadline]
    pgcoro::retry_options options;
    options.deadline = pgcoro::deadline::after(2s); // for all attempts and the delays between them
    auto cents = co_await pgcoro::retry(pgcoro::database_retry(), load, options);
    //! [deadline]
    expect(cents == 500'000, "in time");
}
