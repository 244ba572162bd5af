#include "reference.hpp"

#include <boost/asio/this_coro.hpp>

#include <chrono>

using namespace std::chrono_literals;

asio::awaitable<void> show_pool(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    //! [pool]
    pgcoro::pool_options options;
    options.connection = pgcoro::connection_options::from_uri(uri);
    options.size = 4;
    options.max_overflow = 4;
    options.acquire_timeout = 5s;
    pgcoro::pool pool(executor, options);
    co_await pool.warm_up(); // fails here when the database cannot be had, not at the first caller

    auto count = co_await pool.query_value<std::int64_t>("select count(*) from account");
    //! [pool]
    expect(count == 2, "two accounts");
    expect(pool.stats().idle == 4, "the pool is warm");
    //! [close a pool]
    co_await pool.close(10s); // waits for leases that are out
    //! [close a pool]
}

asio::awaitable<void> show_lease(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    pgcoro::pool pool(executor, uri);
    //! [lease]
    {
        auto conn = co_await pool.acquire();
        co_await conn->execute("create temporary table seen (id bigint)"); // all on one connection
        co_await conn->execute("insert into seen select id from account");
    } // back in the pool, which undoes what the session was left with
    //! [lease]
    co_await pool.close();
}

asio::awaitable<void> show_transaction(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    pgcoro::pool pool(executor, uri);
    //! [transaction]
    auto pay = [](pgcoro::transaction& tx) -> asio::awaitable<std::int64_t> { // may run more than once
        co_await tx.execute("update account set cents = cents - $1 where id = $2", 5, 2);
        co_await tx.execute("update account set cents = cents + $1 where id = $2", 5, 1);
        co_return co_await tx.query_value<std::int64_t>("select cents from account where id = $1", 1);
    };
    pgcoro::transaction_options options{.isolation = pgcoro::isolation::serializable, .timeout = 30s};
    auto left = co_await pgcoro::transactional(pool, pay, options);
    //! [transaction]
    expect(left == 500'000, "the five cents are back");
    co_await pool.close();
}

asio::awaitable<void> show_multiplexer(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    pgcoro::pool pool(executor, uri);
    {
        //! [multiplexer]
        pgcoro::multiplexer db(executor, pool); // one for all callers
        auto owner =
            co_await db.read().query_value<std::string>("select owner from account where id = $1", 1);
        //! [multiplexer]
        expect(owner == "Ada", "the owner");
    }
    co_await pool.close();
}

asio::awaitable<void> show_cache(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    pgcoro::pool pool(executor, uri);
    //! [query_cache]
    pgcoro::query_cache cache(executor, pool);
    auto before = co_await cache.query_value<std::int64_t>("select cents from account where id = $1", 2);
    co_await pool.execute("update account set cents = cents + 1 where id = $1", 2);
    cache.invalidate_tag("public.account");
    auto after = co_await cache.query_value<std::int64_t>("select cents from account where id = $1", 2);
    //! [query_cache]
    expect(after == before + 1, "what was invalidated is asked for anew");
    co_await pool.execute("update account set cents = cents - 1 where id = $1", 2);
    co_await cache.close();
    co_await pool.close();
}

asio::awaitable<void> show_cluster(std::string uri)
{
    auto executor = co_await asio::this_coro::executor;
    //! [cluster]
    pgcoro::cluster db(executor, uri); // a URI with all hosts: postgresql://a,b,c/app
    co_await db.verify();
    auto rich =
        co_await db.query_as<account>("select id, owner, cents from account where cents > $1", 100'000);
    co_await db.execute("update account set owner = owner where id = $1", 1); // on the primary

    pgcoro::cluster_session session(db); // reads what it wrote, on whichever host
    co_await session.execute("update account set owner = $1 where id = $2", "Bob", 2);
    auto bob = co_await session.query_value<std::string>("select owner from account where id = $1", 2);
    //! [cluster]
    expect(rich.size() == 1 && bob == "Bob", "it reads what it wrote");
    co_await db.close();
}
