// Many statements in one round trip, as one transaction or each for itself.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/transaction/transactional.hpp>

using pgcoro::barrier;
using pgcoro::connection;
using pgcoro::server_error;

namespace
{

asio::awaitable<void> create_table(connection& c)
{
    co_await c.execute("create temp table t (n int primary key, text text)");
}

asio::awaitable<int> count_rows(connection& c)
{
    auto n = co_await c.query_value<int>("select count(*)::int from t");
    co_return n;
}

template <class Body>
void with_both_caches(Body&& body)
{
    for (std::size_t cache : {0, 10}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        with_connection(options, [&](connection& c) -> asio::awaitable<void> {
            co_await create_table(c);
            co_await body(c);
            co_await check_usable(c);
        });
    }
}

struct recorder : pgcoro::observer
{
    void on_query(const pgcoro::query_event& e) noexcept override
    {
        seen.push_back(std::string(e.sql) + "|" + std::string(e.sqlstate) + "|" + std::to_string(e.rows));
    }
    std::vector<std::string> seen;
};

} // namespace

BOOST_AUTO_TEST_SUITE(pipelines)

BOOST_AUTO_TEST_CASE(different_statements_give_results_of_their_own_types)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        for (auto b : {barrier::none, barrier::each}) {
            auto batch = c.pipeline(b);
            auto cleared = batch.execute("delete from t");
            auto inserted = batch.execute("insert into t values ($1, $2), ($3, $4)", 1, "one", 2, "two");
            auto rows = batch.query_as<std::tuple<int, std::string>>("select n, text from t order by n");
            auto value = batch.query_value<std::string>("select text from t where n = $1", 2);
            auto none = batch.query_optional<int>("select n from t where n > $1", 2);
            auto any = batch.query("select 1 as a, 2 as b");
            BOOST_TEST(batch.size() == 6u);
            BOOST_CHECK_THROW(rows.get(), std::logic_error);
            co_await batch.run();
            BOOST_TEST(batch.size() == 0u);
            BOOST_TEST(inserted.get() == 2u);
            BOOST_TEST((rows.get() == std::vector<std::tuple<int, std::string>>{{1, "one"}, {2, "two"}}));
            BOOST_TEST(value.get() == "two");
            BOOST_TEST(!none.get());
            BOOST_TEST(any.get().get()[0]["b"].as<int>() == 2);
            co_await batch.run(); // nothing to do
        }
    });
}

BOOST_AUTO_TEST_CASE(one_that_fails_undoes_all_and_is_named)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        auto batch = c.pipeline();
        auto before = batch.execute("insert into t values (1)");
        auto failing = batch.execute("insert into t values ($1)", 1);
        auto after = batch.execute("insert into t values (2)");
        auto e = co_await failure_of<server_error>(batch.run());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23505"));
        BOOST_TEST(e.sql() == "insert into t values ($1)");
        BOOST_TEST(contains(e.what(), "statement 2 of the pipeline"));
        BOOST_CHECK_THROW(before.get(), server_error);
        BOOST_CHECK_THROW(failing.get(), server_error);
        BOOST_CHECK_THROW(after.get(), server_error);
        auto n = co_await count_rows(c);
        BOOST_TEST(n == 0);
    });
}

BOOST_AUTO_TEST_CASE(with_barriers_the_others_take_effect)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        auto batch = c.pipeline(barrier::each);
        auto before = batch.execute("insert into t values (1)");
        auto failing = batch.execute("insert into t values ($1)", 1);
        auto wrong = batch.execute("insert into nowhere values (1)");
        auto wrong_again = batch.execute("insert into nowhere values (1)");
        auto after = batch.execute("insert into t values (2)");
        auto e = co_await failure_of<server_error>(batch.run());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23505"));
        BOOST_TEST(before.get() == 1u);
        BOOST_CHECK_THROW(failing.get(), server_error);
        for (auto* undefined : {&wrong, &wrong_again}) {
            try {
                undefined->get();
                BOOST_ERROR("it should have failed");
            } catch (const server_error& told) {
                BOOST_TEST(told.sqlstate() == pgcoro::sqlstate("42P01"));
            }
        }
        BOOST_TEST(after.get() == 1u);
        auto n = co_await count_rows(c);
        BOOST_TEST(n == 2);
    });
}

BOOST_AUTO_TEST_CASE(a_constraint_that_is_checked_at_commit_is_told)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table u (n int unique deferrable initially deferred)");
        auto one = c.pipeline();
        auto first = one.execute("insert into u values (1), (1)");
        auto e = co_await failure_of<server_error>(one.run());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23505"));
        BOOST_TEST(contains(e.what(), "committed"));
        BOOST_CHECK_THROW(first.get(), server_error);

        auto each = c.pipeline(barrier::each);
        auto fails = each.execute("insert into u values (1), (1)");
        auto works = each.execute("insert into u values (2)");
        e = co_await failure_of<server_error>(each.run());
        BOOST_CHECK_THROW(fails.get(), server_error);
        BOOST_TEST(works.get() == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_huge_batch_goes_through)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        for (auto b : {barrier::none, barrier::each}) {
            auto batch = c.pipeline(b);
            batch.execute("delete from t");
            for (int i = 0; i < 10'000; ++i) batch.execute("insert into t values ($1, $2)", i, "x");
            auto n = batch.query_value<int>("select count(*)::int from t");
            co_await batch.run();
            BOOST_TEST(n.get() == 10'000);
        }
    });
}

BOOST_AUTO_TEST_CASE(large_requests_with_large_answers_do_not_block_each_other)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        std::string large(1'000'000, 'x');
        auto batch = c.pipeline();
        std::vector<pgcoro::pending<std::string>> echoes;
        for (int i = 0; i < 30; ++i)
            echoes.push_back(batch.query_value<std::string>("select $1::text", large));
        co_await batch.run();
        for (auto& e : echoes) BOOST_TEST((e.get() == large));
    });
}

BOOST_AUTO_TEST_CASE(statements_that_the_server_lost_are_prepared_anew)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await create_table(c);
        auto both = [&]() -> asio::awaitable<void> {
            auto batch = c.pipeline();
            batch.execute("insert into t (n) select coalesce(max(n), 0) + 1 from t");
            auto rows = batch.query("select * from t");
            co_await batch.run();
        };
        co_await both();
        co_await c.execute("alter table t add more int");
        co_await both();
        auto batch = c.pipeline();
        batch.execute("deallocate all");
        co_await batch.run();
        co_await both();
        // Behind the layer's back, so that it learns of it from the error only.
        co_await c.execute("do $$ begin execute 'deallocate all'; end $$");
        co_await both();
        auto n = co_await count_rows(c);
        BOOST_TEST(n == 4);
    });
}

BOOST_AUTO_TEST_CASE(more_different_statements_than_are_kept_go_through)
{
    auto options = shared_options();
    options.statement_cache_size = 3;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        for (int again = 0; again < 3; ++again) {
            auto batch = c.pipeline();
            std::vector<pgcoro::pending<int>> values;
            for (int i = 0; i < 20; ++i)
                values.push_back(batch.query_value<int>("select $1 + " + std::to_string(i % 10), i));
            co_await batch.run();
            for (int i = 0; i < 20; ++i) BOOST_TEST(values[static_cast<std::size_t>(i)].get() == i + i % 10);
            co_await check_usable(c);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_pipeline_is_given_up_at_any_point)
{
    for (auto b : {barrier::none, barrier::each}) {
        for (std::size_t cache : {0, 10}) {
            auto options = shared_options();
            options.statement_cache_size = cache;
            int n = 0;
            std::string large(300'000, 'x');
            cancel_everywhere(options, [&](connection& c) -> asio::awaitable<void> {
                auto batch = c.pipeline(b);
                batch.query("select " + std::to_string(++n));
                for (int i = 0; i < 5; ++i) batch.query("select $1::text", large);
                batch.query("select pg_sleep(0.001)");
                co_await batch.run();
            });
        }
    }
}

BOOST_AUTO_TEST_CASE(a_pipeline_that_is_given_up_half_way_leaves_nothing)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    std::optional<connection> conn;
    run_on(io, [&]() -> asio::awaitable<void> {
        conn = co_await connection::connect(shared_options());
        co_await create_table(*conn);
    });
    std::string large(2'000'000, 'x'); // more than the sockets take at once
    auto body = [&]() -> asio::awaitable<void> {
        auto batch = conn->pipeline();
        batch.execute("delete from t");
        batch.execute("insert into t values (1, $1)", large);
        batch.execute("insert into t values (2, $1)", large);
        batch.execute("insert into t values (3, $1)", large);
        co_await batch.run();
    };
    int half_way = 0;
    for (int turns = 0; !cancel_after(io, turns, body); ++turns) {
        auto n = run_on(io, [&] { return count_rows(*conn); });
        BOOST_TEST((n == 0 || n == 3)); // 3: it was sent, and the server was quicker than the cancellation
        half_way += n == 0;
        run_on(io, [&]() -> asio::awaitable<void> { co_await conn->execute("delete from t"); });
    }
    BOOST_TEST(half_way > 0);
}

BOOST_AUTO_TEST_CASE(a_transaction_takes_a_pipeline_as_part_of_itself)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, shared_server().uri());
        co_await pool.execute("create table piped (n int primary key)");
        auto works = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("select 1"); // the first of a connection asks for the role's rights
            auto batch = tx.pipeline();
            batch.execute("insert into piped values (1)");
            batch.execute("insert into piped values (2)");
            co_await batch.run();
            BOOST_TEST(!tx.id().empty());
        };
        co_await pgcoro::transactional(pool, works);
        for (auto b : {barrier::none, barrier::each}) {
            auto fails = [b](pgcoro::transaction& tx) -> asio::awaitable<void> {
                auto batch = tx.pipeline(b);
                batch.execute("insert into piped values (3)");
                batch.execute("insert into piped values (1)");
                co_await failure_of<server_error>(batch.run()); // swallowed, and told by the commit again
            };
            co_await failure_of<server_error>(pgcoro::transactional(pool, fails));
        }
        auto n = co_await pool.query_value<int>("select count(*)::int from piped");
        BOOST_TEST(n == 2);
        co_await pool.execute("drop table piped");
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_CASE(a_pipeline_refused_at_its_first_statement_leaves_no_transaction_open)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool_options options;
        options.connection = shared_options();
        options.size = 1;
        options.max_overflow = 0;
        pgcoro::pool pool(executor, std::move(options));
        auto pid = co_await pool.query_value<int>("select pg_backend_pid()");
        auto refused = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto batch = tx.pipeline();
            batch.execute("select 1", 2);
            co_await batch.run();
        };
        co_await failure_of<std::invalid_argument>(pgcoro::transactional(pool, refused));
        auto after = co_await pool.query_value<int>("select pg_backend_pid()");
        BOOST_TEST(after == pid);
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_CASE(a_connection_lost_half_way_is_told_to_every_handle)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto batch = c.pipeline(barrier::each);
        auto before = batch.query_value<int>("select 1");
        batch.query("select pg_terminate_backend(pg_backend_pid())");
        auto after = batch.query_value<int>("select 2");
        co_await failure_of<pgcoro::connection_error>(batch.run());
        BOOST_TEST(before.get() == 1);
        BOOST_CHECK_THROW(after.get(), pgcoro::connection_error);
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(wrong_input_is_refused_and_nothing_of_it_stays)
{
    with_both_caches([](connection& c) -> asio::awaitable<void> {
        auto batch = c.pipeline();
        batch.execute("insert into t values (1)");
        batch.execute("insert into t values ($1)", 2, 3);
        co_await failure_of<std::invalid_argument>(batch.run());
        batch.execute("insert into t values (1)");
        batch.execute(std::string_view("select '\0'", 10));
        co_await failure_of<std::invalid_argument>(batch.run());
        auto n = co_await count_rows(c);
        BOOST_TEST(n == 0);
    });
}

BOOST_AUTO_TEST_CASE(an_observer_is_told_of_each_statement)
{
    recorder observer;
    auto options = shared_options();
    options.observer = &observer;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        auto batch = c.pipeline();
        batch.query("select generate_series(1, 3)");
        batch.query("select 1/0");
        batch.query("select 4");
        co_await failure_of<server_error>(batch.run());
        BOOST_TEST((observer.seen ==
                    std::vector<std::string>{"select generate_series(1, 3)|00000|3", "select 1/0|22012|0"}));
    });
}

BOOST_AUTO_TEST_SUITE_END()
