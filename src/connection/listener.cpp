#include <pgcoro/connection/listener.hpp>

#include "resilience/chance.hpp"

#include <pgcoro/connection/identifier.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

listener::listener(connection_options options, std::vector<std::string> channels, listener_options keeping)
    : options_(std::move(options))
    , channels_(std::move(channels))
    , keeping_(std::move(keeping))
{
    options_.validate();
    for (auto& c : channels_) identifier{c}; // or throws
    if (keeping_.ping_every.count() < 1)
        throw std::invalid_argument("pgcoro: listener_options::ping_every is " +
                                    std::to_string(keeping_.ping_every.count()) +
                                    " ms: it must be 1 ms or more");
}

asio::awaitable<void> listener::connect()
{
    std::chrono::nanoseconds waited{};
    for (int attempt = 1;; ++attempt) {
        try {
            auto made = co_await connection::connect(options_);
            co_await made.listen(channels_);
            connection_.emplace(std::move(made));
            co_return;
        } catch (const connection_error& e) {
            if (!e.is_transient()) throw;
        }
        waited = keeping_.reconnect.delay(attempt, waited, detail::chance);
        auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, std::chrono::ceil<std::chrono::steady_clock::duration>(waited));
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<notification> listener::next()
{
    for (;;) {
        if (!connection_) {
            co_await connect();
            if (std::exchange(was_connected_, true)) {
                notification after_gap;
                after_gap.gap = true;
                co_return after_gap;
            }
        }
        try {
            auto came = co_await connection_->wait_notification(keeping_.ping_every);
            if (came) co_return std::move(*came);
            co_await connection_->ping();
        } catch (const connection_error&) {
            connection_.reset();
        }
    }
}

} // namespace pgcoro
