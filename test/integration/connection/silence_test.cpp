// A server, or a network, that says nothing at all: every wait is bounded.
#include "integration/connection/support.hpp"

using pgcoro::connection;
using pgcoro::connection_error;
using pgcoro::connection_failure;
using pgcoro::connection_options;

namespace
{

// Freezes the whole server, or one backend; it goes on at the scope's end, whatever happened.
class silence
{
public:
    silence() { shared_server().pause(); }
    explicit silence(int backend) { shared_server().pause(backend); }
    silence(const silence&) = delete;
    silence& operator=(const silence&) = delete;
    ~silence() { shared_server().resume(); }
};

connection_options impatient()
{
    auto options = shared_options();
    options.statement_timeout = std::chrono::milliseconds(50);
    options.response_grace = std::chrono::milliseconds(50);
    options.connect_timeout = std::chrono::milliseconds(200);
    return options;
}

} // namespace

BOOST_AUTO_TEST_SUITE(silence_of_the_server)

BOOST_AUTO_TEST_CASE(a_query_is_given_up)
{
    with_connection(impatient(), [](connection& c) -> asio::awaitable<void> {
        co_await c.query("select 1");
        silence now;
        auto e = co_await failure_of<connection_error>(c.query("select 1"));
        BOOST_TEST(e.why() == connection_failure::timeout);
        BOOST_TEST(contains(e.what(), "response_grace"));
        BOOST_TEST(e.sql() == "select 1");
        BOOST_TEST(!c.is_open());
        auto after = co_await failure_of<connection_error>(c.query("select 2"));
        BOOST_TEST(after.why() == connection_failure::lost);
    });
}

BOOST_AUTO_TEST_CASE(one_frozen_backend_is_enough)
{
    with_connection(impatient(), [](connection& c) -> asio::awaitable<void> {
        silence now(c.backend_pid());
        auto e = co_await failure_of<connection_error>(c.query("select 'prepared on the way'"));
        BOOST_TEST(e.why() == connection_failure::timeout);
        auto another = co_await connection::connect(impatient());
        co_await check_usable(another);
    });
}

BOOST_AUTO_TEST_CASE(a_request_that_nobody_takes_is_given_up)
{
    with_connection(impatient(), [](connection& c) -> asio::awaitable<void> {
        std::string large(30'000'000, 'x');
        silence now(c.backend_pid());
        auto e = co_await failure_of<connection_error>(c.query("select length($1::text)", large));
        BOOST_TEST(e.why() == connection_failure::timeout);
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(what_is_given_up_while_the_server_works_is_stopped_there)
{
    with_connection(impatient(), [](connection& c) -> asio::awaitable<void> {
        co_await c.execute("set statement_timeout = 0"); // the server's own bound fails
        auto pid = std::to_string(c.backend_pid());
        auto e = co_await failure_of<connection_error>(c.execute("select pg_sleep(600)"));
        BOOST_TEST(e.why() == connection_failure::timeout);
        auto left = "select count(*) from pg_stat_activity where pid = " + pid;
        while (shared_server().psql(left) != "0") co_await yield();
    });
}

BOOST_AUTO_TEST_CASE(a_ping_is_given_up)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        silence now;
        auto e = co_await failure_of<connection_error>(c.ping(std::chrono::milliseconds(50)));
        BOOST_TEST(e.why() == connection_failure::timeout);
        BOOST_TEST(!contains(e.what(), "response_grace"));
        BOOST_TEST(!c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_query_is_given_up_with_its_cancel)
{
    with_connection(impatient(), [](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        {
            silence now;
            beside sleeper(executor, [&] { return c.execute("select pg_sleep(600)"); });
            co_await sleeper.end(); // at once, though nobody answers
            auto e = co_await failure_of<connection_error>(c.query("select 1"));
            BOOST_TEST(e.why() == connection_failure::timeout);
            BOOST_TEST(!c.is_open());
        }
        auto another = co_await connection::connect(shared_options());
        co_await check_usable(another);
    });
}

BOOST_AUTO_TEST_CASE(without_a_statement_timeout_there_is_no_such_bound)
{
    auto options = impatient();
    options.statement_timeout = std::chrono::milliseconds(0);
    options.response_grace = std::chrono::milliseconds(0);
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        auto slept = co_await c.query("select pg_sleep(0.3)");
        BOOST_TEST(slept.size() == 1u);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_SUITE_END()
