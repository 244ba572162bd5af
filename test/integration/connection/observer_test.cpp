// What an observer is told.
#include "integration/connection/support.hpp"

#include <csignal>
#include <vector>

using pgcoro::connection;
using pgcoro::server_error;

namespace
{

struct recorder : pgcoro::observer
{
    struct query
    {
        std::string sql;
        std::string sqlstate;
        std::uint64_t rows;
        bool prepared_now;
    };
    void on_query(const pgcoro::query_event& e) noexcept override
    {
        queries.push_back({std::string(e.sql), std::string(e.sqlstate), e.rows, e.prepared_now});
        timed = timed && e.duration.count() > 0;
    }
    void on_notice(const pgcoro::notice_event& e) noexcept override
    {
        notices.push_back(std::string(e.severity) + "|" + std::string(e.sqlstate) + "|" +
                          std::string(e.message) + "|" + std::string(e.detail) + "|" + std::string(e.hint));
    }
    void on_connect(const pgcoro::connect_event& e) noexcept override
    {
        hosts.emplace_back(e.host);
        failures += e.failure != nullptr;
    }

    std::vector<query> queries;
    std::vector<std::string> notices;
    std::vector<std::string> hosts;
    int failures = 0;
    bool timed = true;
};

} // namespace

BOOST_AUTO_TEST_SUITE(connection_observer)

BOOST_AUTO_TEST_CASE(queries_are_told)
{
    recorder seen;
    auto options = shared_options();
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        co_await c.query("select generate_series(1, 3)");
        co_await c.query("select generate_series(1, 3)");
        co_await c.execute("create temp table t as select generate_series(1, 7) as n");
        co_await c.execute("delete from t where n > 2");
        co_await failure_of<server_error>(c.query("select 1/0"));
        co_await failure_of<pgcoro::connection_error>(
            c.query("select pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"));
    });
    BOOST_REQUIRE(seen.queries.size() == 6u);
    auto& q = seen.queries;
    BOOST_TEST(q[0].sql == "select generate_series(1, 3)");
    BOOST_TEST(q[0].sqlstate == "00000");
    BOOST_TEST(q[0].rows == 3u);
    BOOST_TEST(q[0].prepared_now);
    BOOST_TEST(!q[1].prepared_now);
    BOOST_TEST(q[2].rows == 7u);
    BOOST_TEST(q[3].rows == 5u);
    BOOST_TEST(q[4].sqlstate == "22012");
    BOOST_TEST(q[4].rows == 0u);
    BOOST_TEST(q[5].sqlstate == "57P01");
    BOOST_TEST(seen.timed);
}

BOOST_AUTO_TEST_CASE(a_connection_that_breaks_without_a_word_is_told_without_sqlstate)
{
    recorder seen;
    pgcoro::testing::server server;
    auto options = pgcoro::connection_options::from_uri(server.uri());
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        ::kill(c.backend_pid(), SIGKILL);
        co_await failure_of<pgcoro::connection_error>(c.query("select 1"));
    });
    BOOST_REQUIRE(seen.queries.size() == 1u);
    BOOST_TEST(seen.queries[0].sqlstate == "");
}

BOOST_AUTO_TEST_CASE(notices_are_told)
{
    recorder seen;
    auto options = shared_options();
    options.observer = &seen;
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        co_await c.execute("do $$ begin raise notice 'look' using detail = 'here', hint = 'now'; end $$");
        co_await c.execute("do $$ begin raise warning 'careful'; end $$");
        co_await c.execute("commit");
    });
    BOOST_REQUIRE(seen.notices.size() == 3u);
    BOOST_TEST(seen.notices[0] == "NOTICE|00000|look|here|now");
    BOOST_TEST(seen.notices[1] == "WARNING|01000|careful||");
    BOOST_TEST(contains(seen.notices[2], "WARNING|25P01|"));
}

BOOST_AUTO_TEST_CASE(connects_are_told_whether_they_work_or_not)
{
    recorder seen;
    auto options = shared_options();
    options.observer = &seen;
    with_connection(options, [](connection& c) { return check_usable(c); });
    options.parameters["dbname"] = "missing";
    connect_failure(options);
    BOOST_REQUIRE(seen.hosts.size() == 2u);
    BOOST_TEST(seen.hosts[0] == shared_server().socket_dir().string());
    BOOST_TEST(seen.failures == 1);
}

BOOST_AUTO_TEST_SUITE_END()
