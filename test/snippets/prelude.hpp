// What the pages' snippets speak of without saying where it comes from. They are compiled, and not run.
#pragma once

#include <pgcoro/cache/redis.hpp>
#include <pgcoro/connection/json.hpp>
#include <pgcoro/monitor/monitor.hpp>
#include <pgcoro/observe/observe.hpp>
#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <tuple>
#include <vector>

namespace asio = boost::asio;
using asio::detached;
using namespace std::chrono_literals;

struct account
{
    std::int64_t id;
    std::string owner;
    std::int64_t cents;
};

extern asio::io_context io;
extern asio::any_io_executor executor;
extern pgcoro::pool_options options;
extern pgcoro::pool pool;
extern pgcoro::cluster cluster;
extern pgcoro::multiplexer mux;
extern pgcoro::query_cache cache;
extern pgcoro::connection conn;
extern pgcoro::transaction tx;
extern pgcoro::metrics metrics;
extern pgcoro::history history;
extern pgcoro::alerts alerts;
extern pgcoro::sampler sampler;
extern std::string header;
extern std::int64_t id;
extern std::size_t size;
extern std::vector<account> accounts;
extern std::vector<std::tuple<std::int64_t, std::int64_t>> pairs;

// An HTTP client and an SDK of the reader's.
asio::awaitable<boost::json::value> get_json(std::string url, std::string header);
std::string rds_auth_token(std::string host, int port, std::string region, std::string user);

asio::awaitable<std::int64_t> pay(pgcoro::transaction& tx);
asio::awaitable<std::vector<std::byte>> next_piece();
template <class T>
void use(const T&);
