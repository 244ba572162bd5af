#include <pgcoro/pgcoro.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <iostream>
namespace asio = boost::asio;
asio::awaitable<void> work(pgcoro::pool& pool)
{
    std::cout << co_await pool.query_value<int>("select 1") << '\n';
}
int main()
{
    asio::io_context io;
    pgcoro::pool_options options;
    pgcoro::pool pool(io.get_executor(), options);
    asio::co_spawn(io, work(pool), [](std::exception_ptr) {});
    io.run();
}
