// A table partitioned over two servers by postgres_fdw: what of the layer works there, and what cannot be
// promised.
#include "integration/beside.hpp"
#include "integration/run.hpp"

#include <pgcoro/testing/server.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <deque>
#include <random>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pgcoro::isolation;
using pgcoro::pool;
using pgcoro::transaction;
using pgcoro::transactional;

namespace
{

constexpr int accounts = 8; // even ones on the near server, odd ones on the far one

/// Two servers, of which one has the table: half of its rows itself, the other half on the other one.
struct two_servers
{
    two_servers()
    {
        far.psql("create table far_half (half int not null, id int, cents bigint not null, primary key "
                 "(half, id)); "
                 "insert into far_half select 1, i, 1000 from generate_series(1, 7, 2) i");
        near.psql("create extension postgres_fdw; "
                  "create server far foreign data wrapper postgres_fdw options (host '" +
                  far.socket_dir().string() + "', port '" + std::to_string(far.port()) +
                  "', dbname 'postgres', options '-c lock_timeout=200ms'); "
                  "create user mapping for postgres server far options (user 'postgres'); "
                  "create table account (half int not null, id int, cents bigint not null) partition by list "
                  "(half); "
                  "create table near_half partition of account for values in (0); "
                  "create unique index on near_half (id); "
                  "create foreign table far_half partition of account for values in (1) server far; "
                  "insert into account select 0, i, 1000 from generate_series(0, 6, 2) i");
    }

    std::string sum() const { return near.psql("select sum(cents) from account"); }
    std::string cents(int id) const
    {
        return near.psql("select cents from account where half = " + std::to_string(id % 2) +
                         " and id = " + std::to_string(id));
    }

    pgcoro::testing::server near;
    pgcoro::testing::server far;
};

pgcoro::pool_options options_for(const two_servers& servers)
{
    pgcoro::pool_options o;
    o.connection = pgcoro::connection_options::from_uri(servers.near.uri());
    o.connection.lock_timeout = 200ms;
    o.size = 8;
    o.name = "foreign partitions";
    return o;
}

asio::awaitable<void> add(transaction& tx, int id, int cents)
{
    co_await tx.execute("update account set cents = cents + $1 where half = $2 and id = $3", cents, id % 2,
                        id);
}

// What waits for a row on each of two servers is a deadlock that neither of them sees: lock_timeout ends it.
bool gave_up_a_lock(const pgcoro::error& e) { return e.sqlstate() == pgcoro::sqlstates::lock_not_available; }

} // namespace

BOOST_AUTO_TEST_SUITE(foreign_partitions)

BOOST_AUTO_TEST_CASE(transfers_over_two_servers_are_retried_and_conserve_the_money)
{
    const two_servers servers;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_for(servers));
        pgcoro::transaction_metrics metrics;
        int done = 0;
        auto caller = [&](unsigned seed) -> asio::awaitable<void> {
            std::minstd_rand random(seed);
            pgcoro::transaction_metrics own;
            for (int i = 0; i < 25; ++i) {
                auto from = static_cast<int>(random() % accounts);
                auto to = static_cast<int>((static_cast<unsigned>(from) + 1 + random() % (accounts - 1)) %
                                           accounts);
                auto body = [&](transaction& tx) -> asio::awaitable<void> {
                    co_await add(tx, from, -1);
                    co_await add(tx, to, 1);
                };
                pgcoro::transaction_options options;
                options.isolation = isolation::read_committed;
                options.retry.max_attempts = 100;
                options.retry_if = gave_up_a_lock;
                options.metrics = &own;
                co_await transactional(p, body, options);
                ++done;
            }
            metrics += own;
        };
        std::deque<beside> callers;
        for (unsigned i = 1; i <= 6; ++i) callers.emplace_back(executor, [&caller, i] { return caller(i); });
        asio::steady_timer timer(executor);
        while (!std::ranges::all_of(callers, &beside::done)) {
            timer.expires_after(2ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        for (auto& c : callers)
            if (c.error()) std::rethrow_exception(c.error());
        BOOST_TEST(done == 150);
        BOOST_TEST(metrics.committed == 150u);
        BOOST_TEST(servers.sum() == "8000");
    });
}

BOOST_AUTO_TEST_CASE(a_conflict_on_the_far_server_has_its_own_code_and_is_retried)
{
    const two_servers servers;
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_for(servers));
        int runs = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.query(
                "select cents from account where half = 1 and id = 1"); // its snapshot over there
            if (++runs == 1) servers.far.psql("update far_half set cents = cents + 5 where id = 1");
            co_await add(tx, 1, 10);
        };
        pgcoro::transaction_metrics metrics;
        pgcoro::transaction_options options;
        options.metrics = &metrics;
        co_await transactional(p, body, options);
        BOOST_TEST(runs == 2);
        BOOST_TEST(metrics.serialization_failures == 1u); // the far side runs at repeatable read at least
        BOOST_TEST(servers.cents(1) == "1015");
    });
}

// postgres_fdw commits over there before it commits here, without two-phase commit ("Transaction Management"
// in its documentation). At isolation level serializable the near server looks for conflicts after that: what
// is rolled back here, and run again, has been done there already.
BOOST_AUTO_TEST_CASE(a_serialization_failure_at_commit_leaves_the_far_half_committed)
{
    const two_servers servers;
    servers.near.psql(
        "create table guard (id int primary key, x int); insert into guard values (1, 0), (2, 0)");
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_for(servers));
        int runs = 0;
        auto skewed = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.query("select sum(x) from guard");
            co_await tx.execute("update guard set x = x + 1 where id = 1");
            co_await add(tx, 1, 10); // over there
            if (runs > 1) co_return;
            // Someone else reads and writes crosswise, and commits first.
            auto other = [](transaction& tx2) -> asio::awaitable<void> {
                co_await tx2.query("select sum(x) from guard");
                co_await tx2.execute("update guard set x = x + 1 where id = 2");
            };
            co_await pgcoro::with_serializable_retry(p, other, 1);
        };
        pgcoro::transaction_metrics metrics;
        pgcoro::transaction_options options;
        options.isolation = isolation::serializable;
        options.metrics = &metrics;
        co_await transactional(p, skewed, options);
        BOOST_TEST(metrics.serialization_failures == 1u);
        BOOST_TEST(runs == 2);
        BOOST_TEST(servers.near.psql("select x from guard where id = 1") == "1"); // once here
        BOOST_TEST(servers.cents(1) == "1020");                                   // and twice there
    });
}

BOOST_AUTO_TEST_SUITE_END()
