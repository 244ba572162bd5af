#pragma once

#include "integration/connection/support.hpp"

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/monitor/monitor.hpp>
#include <pgcoro/pgcoro.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace http = boost::beast::http;
namespace json = boost::json;

/// A connection to a monitor, for what a client sends.
class http_client
{
public:
    using response = http::response<http::string_body>;

    explicit http_client(boost::asio::any_io_executor executor)
        : socket_(executor)
    {}

    asio::awaitable<void> connect(std::uint16_t port)
    {
        asio::ip::tcp::endpoint there(asio::ip::address_v4::loopback(), port);
        co_await socket_.async_connect(there, asio::deferred);
    }
    asio::awaitable<void> send(std::string bytes)
    {
        co_await asio::async_write(socket_, asio::buffer(bytes), asio::deferred);
    }
    asio::awaitable<response> receive(bool of_head = false)
    {
        http::response_parser<http::string_body> parser;
        parser.body_limit(16 << 20);
        parser.skip(of_head);
        co_await http::async_read(socket_, buffer_, parser, asio::deferred);
        co_return parser.release();
    }
    asio::awaitable<response> ask(std::string method, std::string target, std::string headers = {})
    {
        co_await send(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
        auto got = co_await receive(method == "HEAD");
        co_return got;
    }
    /// What comes until the text ends with that.
    asio::awaitable<std::string> receive_until(std::string end)
    {
        std::string text;
        char c = 0;
        while (!text.ends_with(end)) {
            co_await asio::async_read(socket_, asio::buffer(&c, 1), asio::deferred);
            text += c;
        }
        co_return text;
    }
    /// Has the other side closed the connection, with nothing more to say?
    asio::awaitable<bool> at_end()
    {
        char c = 0;
        boost::system::error_code failed;
        co_await asio::async_read(socket_, asio::buffer(&c, 1),
                                  asio::redirect_error(asio::use_awaitable, failed));
        co_return failed == asio::error::eof;
    }
    void close() { socket_.close(); }

private:
    asio::ip::tcp::socket socket_;
    boost::beast::flat_buffer buffer_;
};

/// A pool, all that observes it, and a monitor on it.
struct watched_service
{
    explicit watched_service(pgcoro::monitor_options o = {})
        : pool(io.get_executor(), options())
        , cache(io.get_executor(), pool)
        , sampler(metrics, history, &alerts, {.inspected = &pool})
        , monitor(io.get_executor(), sources(), with_any_port(o))
    {
        metrics.watch(pool);
    }

    pgcoro::pool_options options()
    {
        pgcoro::pool_options o;
        o.connection = shared_options();
        o.name = "watched";
        o.size = 2;
        o.max_overflow = 1;
        o.observer = &metrics;
        return o;
    }
    pgcoro::monitor_sources sources() { return {&metrics, &pool, &history, &alerts, &sampler, &cache}; }
    static pgcoro::monitor_options with_any_port(pgcoro::monitor_options o)
    {
        o.port = 0;
        o.interval = std::chrono::milliseconds(10);
        return o;
    }

    /// Runs `body(client)`, connected, beside the monitor, and ends that.
    template <class Body>
    void run(Body body)
    {
        run_on(io, [&]() -> asio::awaitable<void> {
            beside serving(io.get_executor(), [&] { return monitor.run(); });
            http_client client(io.get_executor());
            co_await client.connect(monitor.port());
            co_await body(client);
            co_await serving.end();
            BOOST_TEST(serving.threw<boost::system::system_error>());
        });
    }

    boost::asio::io_context io;
    pgcoro::metrics metrics;
    pgcoro::pool pool;
    pgcoro::query_cache cache;
    pgcoro::history history;
    pgcoro::alerts alerts;
    pgcoro::sampler sampler;
    pgcoro::monitor monitor;
};
