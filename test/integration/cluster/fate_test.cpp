// A cluster's transactions are judged by the same core: identity decides, and a session reads its own writes also where
// the answer was lost.
#include "integration/cluster/support.hpp"
#include "integration/transaction/bank.hpp"

#include <pgcoro/pgcoro.hpp>

using pgcoro::commit_token;
using pgcoro::transaction;
using pgcoro::transactional;

BOOST_AUTO_TEST_SUITE(cluster_fate)

BOOST_AUTO_TEST_CASE(an_error_of_another_connection_never_runs_a_cluster_transaction_again)
{
    trio servers;
    servers.primary.psql("create table fate (n int)");
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        pgcoro::cluster db(co_await asio::this_coro::executor, options_for(servers));
        co_await db.verify();
        pgcoro::pool_options o;
        o.connection = pgcoro::connection_options::from_uri(servers.first.uri());
        pgcoro::pool other(co_await asio::this_coro::executor, o); // of a standby, which refuses writes
        for (bool committed : {true, false}) {
            int bodies = 0;
            auto body = [&](transaction& tx) -> asio::awaitable<void> {
                ++bodies;
                if (committed)
                    co_await tx.last().execute("insert into fate values (1)");
                else
                    co_await tx.execute("insert into fate values (1)");
                co_await other.execute("insert into fate values (2)");
            };
            BOOST_CHECK_THROW(co_await transactional(db, body), pgcoro::server_error);
            BOOST_TEST(bodies == 1);
        }
        BOOST_TEST(servers.primary.psql("select count(*) from fate") == "1");
        co_await db.close(1s);
    });
}

BOOST_AUTO_TEST_CASE(a_session_reads_from_the_primary_until_its_writes_position_is_known)
{
    trio servers;
    servers.primary.psql("create table fate (n int)");
    servers.catch_up();
    run([&]() -> asio::awaitable<void> {
        pgcoro::cluster db(co_await asio::this_coro::executor, options_for(servers));
        co_await db.verify();
        pgcoro::cluster_session session(db);
        commit_token during;
        auto throws_behind_commit = [&](transaction& tx) -> asio::awaitable<void> {
            during = session.token();
            co_await tx.last().execute("insert into fate values (1)");
            throw std::runtime_error("behind the commit");
        };
        BOOST_CHECK_THROW(co_await transactional(session, throws_behind_commit), std::runtime_error);
        BOOST_TEST((during == commit_token::primary_only()));
        BOOST_TEST((session.token() > commit_token()));
        auto seen = co_await session.query_value<std::int64_t>("select count(*) from fate");
        BOOST_TEST(seen == 1);

        auto before = session.token();
        auto rolled_back = [](transaction& tx) -> asio::awaitable<void> { co_await tx.execute("select 1 / 0"); };
        BOOST_CHECK_THROW(co_await transactional(session, rolled_back), pgcoro::server_error);
        BOOST_TEST((session.token() == before));
        BOOST_CHECK_THROW(co_await session.execute("insert into fate values ('x')"), pgcoro::server_error);
        BOOST_TEST((session.token() == before));
        BOOST_CHECK_THROW(co_await session.execute("insert into fate select pg_terminate_backend(pg_backend_pid())::int"),
                          pgcoro::connection_error);
        BOOST_TEST((session.token() == commit_token::primary_only()));
        co_await session.execute("insert into fate values (2)");
        BOOST_TEST((session.token() != commit_token::primary_only()));
        BOOST_CHECK_THROW(co_await session.execute("begin"), std::logic_error);
        co_await db.close(1s);
    });
}

BOOST_AUTO_TEST_SUITE_END()
