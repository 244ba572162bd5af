// A program of somebody else's, against a private server: does what is in the library work from outside of
// it?
#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>
#ifdef WITH_monitor
#include <pgcoro/monitor/monitor.hpp>
#endif
#ifdef WITH_redis
#include <pgcoro/cache/redis.hpp>
#endif
#ifdef WITH_prometheus
#include <pgcoro/observe/prometheus.hpp>
#endif

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>

namespace asio = boost::asio;

namespace
{

void expect(bool met, const char* what)
{
    if (!met) throw std::runtime_error(std::string("not met: ") + what);
}

asio::awaitable<void> use(pgcoro::pool& pool)
{
    co_await pool.execute("create table account (id bigint primary key, cents bigint not null)");
    auto pay = [](pgcoro::transaction& tx) -> asio::awaitable<std::int64_t> {
        co_await tx.execute("insert into account values ($1, $2)", 1, 500);
        co_return co_await tx.query_value<std::int64_t>("select cents from account where id = $1", 1);
    };
    auto cents = co_await pgcoro::transactional(pool, pay);
    expect(cents == 500, "a transaction's result");

    // What is thrown within the library is caught by its type here, derived and base.
    bool caught = false;
    try {
        co_await pool.execute("insert into account values ($1, $2)", 1, 1);
    } catch (const pgcoro::server_error& e) {
        caught = e.sqlstate() == pgcoro::sqlstates::unique_violation;
    }
    expect(caught, "a server_error is caught");
    caught = false;
    try {
        co_await pool.query_value<std::int64_t>("select cents from account where id = 2");
    } catch (const pgcoro::error&) {
        caught = true;
    }
    expect(caught, "an error is caught by its base");
    co_await pool.close();
}

} // namespace

int main()
{
    try {
        pgcoro::testing::server server;
        asio::io_context io;
        pgcoro::pool pool(io.get_executor(), server.uri());
        std::exception_ptr failure;
        asio::co_spawn(io, use(pool), [&](std::exception_ptr e) {
            failure = e;
            io.stop();
        });
        io.run();
        if (failure) std::rethrow_exception(failure);
#if defined(WITH_monitor) || defined(WITH_prometheus)
        pgcoro::metrics metrics;
#endif
#ifdef WITH_monitor
        pgcoro::monitor_options options;
        options.port = 0;
        pgcoro::monitor monitor(io.get_executor(), {.metrics = &metrics}, options);
        expect(monitor.port() != 0, "the monitor listens");
#endif
#ifdef WITH_redis
        pgcoro::redis_second_level second(io.get_executor());
        expect(second.stats().size() == 1, "there is one instance");
#endif
#ifdef WITH_prometheus
        expect(!pgcoro::to_prometheus(metrics.snapshot()).empty(), "there are figures for Prometheus");
#endif
        std::cout << "consumer of pgcoro " << PGCORO_VERSION_STRING << ": all is well\n";
    } catch (const std::exception& e) {
        std::cerr << "consumer: " << e.what() << '\n';
        return 1;
    }
}
