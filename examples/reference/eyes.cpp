#include "reference.hpp"

#include <pgcoro/monitor/monitor.hpp>
#include <pgcoro/observe/observe.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <iostream>

asio::awaitable<void> show_eyes(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    //! [metrics]
    pgcoro::metrics metrics; // outlives the pool
    pgcoro::pool_options options;
    options.connection = pgcoro::connection_options::from_uri(uri);
    options.observer = &metrics;
    pgcoro::pool pool(executor, options);
    metrics.watch(pool);
    co_await pool.named("count accounts").query_value<std::int64_t>("select count(*) from account");
    auto seen = metrics.snapshot();
    //! [metrics]
    expect(seen.operations.size() == 1, "one operation was seen");

    //! [history]
    pgcoro::history history; // a day of samples, one a minute
    //! [history]
    int told = 0;
    //! [alerts]
    pgcoro::alerts alerts; // by the default rules
    alerts.on_change([&](const pgcoro::alert& a, pgcoro::alert_change) {
        std::cout << a.name << ": " << a.meaning << '\n';
        ++told;
    });
    //! [alerts]
    //! [sampler]
    pgcoro::sampler sampler(metrics, history, &alerts); // asio::co_spawn(io, sampler.run(), asio::detached);
    co_await sampler.take();
    //! [sampler]
    expect(history.size() == 1 && told == 0, "a sample is kept, and all is well");
    co_await pool.close();
}

// Asks the way a probe does, and gives the first line of the answer.
static asio::awaitable<std::string> ask(std::uint16_t port)
{
    auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::socket socket(executor);
    asio::ip::tcp::endpoint there(asio::ip::address_v4::loopback(), port);
    co_await socket.async_connect(there, asio::use_awaitable);
    std::string request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
    std::string answer;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(answer), "\r\n", asio::use_awaitable);
    co_return answer.substr(0, answer.find("\r\n"));
}

asio::awaitable<void> show_monitor(std::string uri)
{
    using namespace asio::experimental::awaitable_operators;
    auto executor = co_await asio::this_coro::executor;
    pgcoro::metrics metrics;
    pgcoro::pool pool(executor, uri);
    //! [monitor]
    pgcoro::monitor_sources sources{.metrics = &metrics, .pool = &pool};
    pgcoro::monitor_options options;
    options.port = 0; // the system chooses
    pgcoro::monitor monitor(executor, sources, options);
    //! [monitor]
    auto got = co_await (ask(monitor.port()) || monitor.run());
    expect(got.index() == 0 && std::get<0>(got) == "HTTP/1.1 200 OK", "it answers");
    co_await pool.close();
}
