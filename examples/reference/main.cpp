#include "reference.hpp"

#include <pgcoro/testing/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>

static asio::awaitable<void> show_all(std::string uri)
{
    co_await show_connection(uri);
    co_await show_listener(uri);
    co_await show_stream(uri);
    co_await show_pipeline(uri);
    co_await show_pool(uri);
    co_await show_lease(uri);
    co_await show_transaction(uri);
    co_await show_multiplexer(uri);
    co_await show_cache(uri);
    co_await show_cluster(uri);
    co_await show_retry();
    co_await show_breaker();
    co_await show_deadline(uri);
    co_await show_eyes(uri);
    co_await show_monitor(uri);
}

int main()
{
    try {
        //! [server]
        pgcoro::testing::server server; // stopped and removed at the end of the scope
        server.psql(
            "create table account (id bigint primary key, owner text not null, cents bigint not null)");
        server.psql("insert into account values (1, 'Ada', 500000), (2, 'Bob', 100)");

        asio::io_context io;
        std::exception_ptr failure;
        asio::co_spawn(io, show_all(server.uri()), [&](std::exception_ptr e) { failure = e; });
        io.run();
        //! [server]
        if (failure) std::rethrow_exception(failure);
        std::cout << "all is as the reference says\n";
    } catch (const std::exception& e) {
        std::cerr << "reference: " << e.what() << '\n';
        return 1;
    }
}
