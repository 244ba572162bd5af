// Rows as they come: in constant memory, stopped half-way, given up at any point.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/transaction/transactional.hpp>

#include <boost/describe/class.hpp>

using pgcoro::connection;
using pgcoro::mapping_error;
using pgcoro::server_error;

namespace
{

struct numbered
{
    std::int64_t n;
    std::string text;
};
BOOST_DESCRIBE_STRUCT(numbered, (), (n, text))

asio::awaitable<std::int64_t> count_all(pgcoro::row_stream<int> rows)
{
    std::int64_t count = 0;
    for (;;) {
        auto n = co_await rows.next();
        if (!n) break;
        ++count;
        BOOST_TEST(*n == count);
    }
    co_return count;
}

struct recorder : pgcoro::observer
{
    void on_query(const pgcoro::query_event& e) noexcept override
    {
        rows.push_back(e.rows);
        prepared += e.prepared_now;
    }
    std::vector<std::uint64_t> rows;
    int prepared = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(row_streams)

BOOST_AUTO_TEST_CASE(all_rows_come_in_order_with_and_without_prepared_statements)
{
    auto options = shared_options();
    for (std::size_t cache : {0, 10}) {
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            for (int again = 0; again < 2; ++again) {
                auto n = co_await count_all(c.stream<int>("select generate_series(1, $1::int)", 1000));
                BOOST_TEST(n == 1000);
            }
            co_await check_usable(c);
        });
    }
}

BOOST_AUTO_TEST_CASE(rows_are_structs_by_name_also_in_chunks)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<numbered>("select 'row ' || n as text, n from generate_series(1::bigint, 10) n");
        std::vector<std::size_t> sizes;
        std::int64_t n = 0;
        for (;;) {
            auto chunk = co_await rows.next_chunk(4);
            sizes.push_back(chunk.size());
            for (auto& r : chunk) BOOST_TEST(r.text == "row " + std::to_string(++n));
            if (chunk.empty()) break;
        }
        BOOST_TEST((sizes == std::vector<std::size_t>{4, 4, 2, 0}));
        auto none = co_await rows.next();
        BOOST_TEST(!none);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_row_of_any_columns_is_read_field_by_field)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<pgcoro::row>("select n, 'x' || n as label from generate_series(1, 3) n");
        std::string all;
        for (;;) {
            auto r = co_await rows.next();
            if (!r) break;
            all += (*r)["label"].as<std::string>();
        }
        BOOST_TEST(all == "x1x2x3");
    });
}

BOOST_AUTO_TEST_CASE(the_server_waits_for_a_slow_reader)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto& server = shared_server();
        server.psql("create sequence produced");
        auto pid = std::to_string(c.backend_pid());
        auto rows = c.stream<std::tuple<std::int64_t, std::string>>(
            "select nextval('produced'), repeat('x', 10000) from generate_series(1, 20000)");
        co_await rows.next();
        while (server.psql("select wait_event from pg_stat_activity where pid = " + pid) != "ClientWrite")
            co_await yield();
        BOOST_TEST(std::stoi(server.psql("select last_value from produced")) < 2000);
        std::int64_t last = 0;
        for (;;) {
            auto r = co_await rows.next();
            if (!r) break;
            last = std::get<0>(*r);
        }
        BOOST_TEST(last == 20000);
        server.psql("drop sequence produced");
    });
}

BOOST_AUTO_TEST_CASE(a_stream_that_ends_early_stops_the_statement_and_the_connection_goes_on)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto pid = c.backend_pid();
        for (int taken = 0; taken < 5; ++taken) {
            {
                auto rows =
                    c.stream<std::string>("select repeat('x', 1000 + 0 * generate_series(1, 100000000))");
                for (int i = 0; i < taken; ++i) {
                    auto r = co_await rows.next();
                    BOOST_TEST(r.has_value());
                }
            }
            co_await check_usable(c);
        }
        BOOST_TEST(c.backend_pid() == pid);
    });
}

BOOST_AUTO_TEST_CASE(a_stream_is_given_up_at_any_point)
{
    for (std::size_t cache : {0, 10}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        int n = 0;
        cancel_everywhere(options, [&](connection& c) -> asio::awaitable<void> {
            auto sql =
                "select " + std::to_string(++n) + "::int4, repeat('x', 1000) from generate_series(1, 500)";
            auto rows = c.stream<std::tuple<int, std::string>>(sql);
            for (;;) {
                auto r = co_await rows.next();
                if (!r) break;
            }
        });
    }
}

BOOST_AUTO_TEST_CASE(nothing_else_runs_while_a_stream_is_open)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<int>("select generate_series(1, 3)");
        co_await rows.next();
        co_await failure_of<std::logic_error>(c.query("select 1"));
        auto other = c.stream<int>("select 1");
        co_await failure_of<std::logic_error>(other.next());
        auto second = co_await rows.next();
        BOOST_TEST(second.value() == 2);
        auto third = co_await rows.next();
        BOOST_TEST(third.value() == 3);
        auto end = co_await rows.next();
        BOOST_TEST(!end);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(an_error_after_some_rows_comes_when_they_are_read)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        // One by one: libpq gives a chunk that an error cut short to nobody.
        auto rows =
            c.stream<int>(pgcoro::stream_options{1}, "select 10 / (3 - n) from generate_series(1, 5) n");
        auto first = co_await rows.next();
        BOOST_TEST(first.value() == 5);
        auto second = co_await rows.next();
        BOOST_TEST(second.value() == 10);
        auto e = co_await failure_of<server_error>(rows.next());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22012"));
        auto end = co_await rows.next();
        BOOST_TEST(!end);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_that_cannot_be_prepared_is_the_servers_error)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<int>("nonsense");
        auto e = co_await failure_of<server_error>(rows.next());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42601"));
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(columns_that_do_not_fit_are_told_also_without_rows)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        for (auto* sql : {"select 'x'::text", "select 'x'::text where false", "select 1, 2 where false"}) {
            auto rows = c.stream<int>(sql);
            co_await failure_of<mapping_error>(rows.next());
            auto end = co_await rows.next();
            BOOST_TEST(!end);
            co_await check_usable(c);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_row_that_does_not_fit_is_passed_over)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<int>("select nullif(n, 2) from generate_series(1, 3) n");
        co_await rows.next();
        co_await failure_of<mapping_error>(rows.next());
        auto third = co_await rows.next();
        BOOST_TEST(third.value() == 3);
        auto end = co_await rows.next();
        BOOST_TEST(!end);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_without_rows_is_a_stream_that_is_over)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto rows = c.stream<int>("create temp table t (n int)");
        auto end = co_await rows.next();
        BOOST_TEST(!end);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_statement_whose_columns_changed_is_prepared_anew)
{
    recorder seen;
    auto options = shared_options();
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t as select 1 as a");
        auto before = co_await c.query("select * from t");
        BOOST_TEST(before[0].size() == 1u);
        co_await c.execute("alter table t add b int default 2");
        auto rows = c.stream<std::tuple<int, int>>("select * from t");
        auto r = co_await rows.next();
        BOOST_TEST((r.value() == std::tuple(1, 2)));
        auto end = co_await rows.next();
        BOOST_TEST(!end);
        co_await c.execute("deallocate all");
        auto again = c.stream<std::tuple<int, int>>("select * from t");
        r = co_await again.next();
        BOOST_TEST((r.value() == std::tuple(1, 2)));
    });
}

BOOST_AUTO_TEST_CASE(an_observer_is_told_how_many_rows_there_were)
{
    recorder seen;
    auto options = shared_options();
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        co_await count_all(c.stream<int>("select generate_series(1, 7)"));
        BOOST_TEST((seen.rows == std::vector<std::uint64_t>{7}));
        BOOST_TEST(seen.prepared == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_begins_with_its_stream)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, shared_server().uri());
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto n = co_await count_all(tx.stream<int>("select generate_series(1, 10)"));
            BOOST_TEST(n == 10);
            auto open = tx.stream<bool>("select now() < clock_timestamp() from generate_series(1, 3)");
            auto in = co_await open.next();
            BOOST_TEST(in.value());
        };
        co_await pgcoro::transactional(pool, body);
        auto failing = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("create table rolled_back (n int)");
            auto rows = tx.stream<int>("select 1/0");
            co_await failure_of<server_error>(rows.next());
        };
        co_await failure_of<server_error>(pgcoro::transactional(pool, failing));
        auto there = co_await pool.query_value<bool>("select to_regclass('rolled_back') is not null");
        BOOST_TEST(!there);
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_CASE(a_lease_returned_with_an_open_stream_is_brought_back)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool_options options;
        options.connection = shared_options();
        options.size = 1;
        options.max_overflow = 0;
        pgcoro::pool pool(executor, std::move(options));
        auto lease = co_await pool.acquire();
        auto pid = lease->backend_pid();
        auto rows = lease->stream<int>("select generate_series(1, 100000000)");
        co_await rows.next();
        lease.release();
        lease = co_await pool.acquire();
        BOOST_TEST(lease->backend_pid() == pid);
        co_await check_usable(*lease);
        co_await failure_of<std::logic_error>([](auto& stream) -> asio::awaitable<void> {
            for (;;) co_await stream.next(); // rows that had come before are still returned
        }(rows));
        co_await failure_of<std::logic_error>(rows.next());
        lease.release();
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()
