// Names of prepared statements that the user made up, and that the server does not know: the session's own
// statements have nothing to do with them.
#include "integration/connection/support.hpp"

#include <pgcoro/pgcoro.hpp>

using pgcoro::connection;
using pgcoro::server_error;
using pgcoro::sqlstate;

BOOST_AUTO_TEST_SUITE(users_statement_names)

BOOST_AUTO_TEST_CASE(failed_deallocates_pile_up_no_statements)
{
    auto options = shared_options();
    options.statement_cache_size = 4;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        for (int i = 0; i < 20; ++i) {
            auto sql = "deallocate no_such_name_" + std::to_string(i % 7);
            auto e = co_await failure_of<server_error>(c.execute(sql));
            BOOST_TEST(e.sqlstate() == sqlstate("26000"));
        }
        auto prepared = co_await c.query_value<int>("select count(*)::int from pg_prepared_statements");
        BOOST_TEST(prepared <= 4);
    });
}

BOOST_AUTO_TEST_CASE(transaction_with_an_unknown_name_is_not_run_again)
{
    run([]() -> asio::awaitable<void> {
        pgcoro::pool_options options;
        options.connection = shared_options();
        pgcoro::pool p(co_await asio::this_coro::executor, options);
        int runs = 0;
        auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("execute no_such_name");
        };
        pgcoro::transaction_options few;
        few.retry.max_attempts = 3;
        auto e = co_await failure_of<server_error>(pgcoro::transactional(p, body, few));
        BOOST_TEST(e.sqlstate() == sqlstate("26000"));
        BOOST_TEST(runs == 1);
    });
}

BOOST_AUTO_TEST_SUITE_END()
