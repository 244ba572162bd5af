// Runs the example of README.md. DATABASE_URL, or libpq's PG* variables, say where; the table `account`
// (id bigint, owner text, cents bigint), with rows 1 and 2, must be there.
#include <pgcoro/pgcoro.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>

namespace asio = boost::asio;

asio::awaitable<std::int64_t> serve(pgcoro::pool& pool); // README.md

namespace
{

asio::awaitable<void> run(pgcoro::pool& pool)
{
    auto left = co_await serve(pool);
    std::cout << left << " cents are left\n";
}

} // namespace

int main()
{
    try {
        asio::io_context io;
        pgcoro::pool_options options;
        options.connection = pgcoro::connection_options::from_env();
        pgcoro::pool pool(io.get_executor(), options);
        std::exception_ptr failure;
        asio::co_spawn(io, run(pool), [&](std::exception_ptr e) {
            failure = e;
            io.stop(); // the pool would keep it busy
        });
        io.run();
        if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        std::cerr << "readme: " << e.what() << '\n';
        return 1;
    }
}
