#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <libpq-fe.h>
#include <iostream>
namespace asio = boost::asio;
asio::awaitable<void> work()
{
    PGconn* c = PQconnectdb("");
    PGresult* r = PQexec(c, "select 1");
    std::cout << PQgetvalue(r, 0, 0) << '\n';
    PQclear(r);
    PQfinish(c);
    co_return;
}
int main()
{
    asio::io_context io;
    asio::co_spawn(io, work(), [](std::exception_ptr) {});
    io.run();
}
