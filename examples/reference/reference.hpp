/// What the pages of the reference show, one function for each; main.cpp runs them on a private server. They
/// throw when something is not as they say.
#pragma once

#include <pgcoro/pgcoro.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;

struct account
{
    std::int64_t id;
    std::string owner;
    std::int64_t cents;
};

inline void expect(bool met, const char* what)
{
    if (!met) throw std::runtime_error(std::string("not as the reference says: ") + what);
}

// connections.cpp
asio::awaitable<void> show_connection(std::string uri);
asio::awaitable<void> show_listener(std::string uri);
asio::awaitable<void> show_stream(std::string uri);
asio::awaitable<void> show_pipeline(std::string uri);

// pools.cpp
asio::awaitable<void> show_pool(std::string uri);
asio::awaitable<void> show_lease(std::string uri);
asio::awaitable<void> show_transaction(std::string uri);
asio::awaitable<void> show_multiplexer(std::string uri);
asio::awaitable<void> show_cache(std::string uri);
asio::awaitable<void> show_cluster(std::string uri);

// resilience.cpp
asio::awaitable<void> show_retry();
asio::awaitable<void> show_breaker();
asio::awaitable<void> show_deadline(std::string uri);

// eyes.cpp
asio::awaitable<void> show_eyes(std::string uri);
asio::awaitable<void> show_monitor(std::string uri);
