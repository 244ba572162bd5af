// A cancel request by itself, on libpq's own connections.
#include "connection/cancel_request.hpp"

#include "integration/connection/support.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <thread>

using pgcoro::cancel_encryption;
using pgcoro::detail::cancel_request;
using pgcoro::detail::cancel_result;
using pgcoro::detail::cancel_target;

namespace
{

using conn_ptr = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using result_ptr = std::unique_ptr<PGresult, decltype(&PQclear)>;

conn_ptr connect(const std::string& uri)
{
    conn_ptr conn(PQconnectdb(uri.c_str()), &PQfinish);
    BOOST_REQUIRE_MESSAGE(PQstatus(conn.get()) == CONNECTION_OK, PQerrorMessage(conn.get()));
    return conn;
}

// The SQLSTATE that a statement under way ends with.
std::string end_of(PGconn* conn)
{
    std::string code = "none";
    while (auto* r = PQgetResult(conn)) {
        result_ptr owner(r, &PQclear);
        if (auto* text = PQresultErrorField(r, PG_DIAG_SQLSTATE)) code = text;
    }
    return code;
}

// Runs a context on a thread of its own.
class running_context
{
public:
    ~running_context()
    {
        work_.reset();
        thread_.join();
    }
    asio::io_context io;

private:
    asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io);
    std::thread thread_{[this] { io.run(); }};
};

std::shared_ptr<cancel_request> start(const std::shared_ptr<cancel_target>& target, asio::io_context& io,
                                      std::promise<cancel_result>& ended,
                                      std::chrono::milliseconds limit = cancel_request::default_limit)
{
    return cancel_request::start(
        target, io.get_executor(), [&](cancel_result r) { ended.set_value(r); }, limit);
}

cancel_result wait(std::promise<cancel_result>& ended)
{
    auto future = ended.get_future();
    BOOST_REQUIRE((future.wait_for(patience) == std::future_status::ready));
    return future.get();
}

} // namespace

BOOST_AUTO_TEST_SUITE(cancel_requests)

BOOST_AUTO_TEST_CASE(request_stops_the_statement_and_no_later_one)
{
    running_context context;
    for (auto& uri : {shared_server().uri(), shared_server().tcp_uri()}) {
        auto conn = connect(uri);
        auto target = std::make_shared<cancel_target>(conn.get());
        for (int i = 0; i < 20; ++i) {
            BOOST_REQUIRE(PQsendQuery(conn.get(), "select pg_sleep(600)"));
            std::string code = "none";
            while (code == "none") { // it may come before the statement does
                std::promise<cancel_result> ended;
                auto request = start(target, context.io, ended);
                BOOST_TEST((wait(ended) == cancel_result::delivered));
                BOOST_TEST(request->ended());
                for (int turns = 0; turns < 100 && PQisBusy(conn.get()); ++turns) {
                    std::this_thread::yield();
                    PQconsumeInput(conn.get());
                }
                if (!PQisBusy(conn.get())) code = end_of(conn.get());
            }
            BOOST_TEST(code == "57014");
            result_ptr next(PQexec(conn.get(), "select 1"), &PQclear);
            BOOST_TEST(PQresultStatus(next.get()) == PGRES_TUPLES_OK);
        }
    }
}

BOOST_AUTO_TEST_CASE(request_outlives_its_connection)
{
    running_context context;
    auto conn = connect(shared_server().uri() + (contains(shared_server().uri(), "?") ? "&" : "?") +
                        "application_name=left_behind");
    auto target = std::make_shared<cancel_target>(conn.get());
    auto count = [] {
        return shared_server().psql("select count(*) from pg_stat_activity where application_name = "
                                    "'left_behind' and state = 'active'");
    };
    BOOST_REQUIRE(PQsendQuery(conn.get(), "select pg_sleep(600)"));
    while (count() != "1") std::this_thread::yield();
    conn.reset();
    std::promise<cancel_result> ended;
    {
        auto request = start(target, context.io, ended);
        target.reset();
    }
    BOOST_TEST((wait(ended) == cancel_result::delivered));
    while (count() != "0") std::this_thread::yield();
}

BOOST_AUTO_TEST_CASE(second_request_for_the_same_session_fails)
{
    running_context context;
    auto conn = connect(shared_server().uri());
    auto target = std::make_shared<cancel_target>(conn.get());
    shared_server().pause(); // nobody takes the first one
    std::promise<cancel_result> first;
    std::promise<cancel_result> second;
    auto under_way = start(target, context.io, first, std::chrono::hours(1));
    auto refused = start(target, context.io, second);
    BOOST_TEST((wait(second) == cancel_result::failed));
    BOOST_TEST(!under_way->ended());
    shared_server().resume();
    BOOST_TEST((wait(first) == cancel_result::delivered));
    BOOST_TEST(under_way->ended());
}

BOOST_AUTO_TEST_CASE(request_to_a_server_that_is_gone_fails)
{
    running_context context;
    std::shared_ptr<cancel_target> target;
    {
        pgcoro::testing::server server;
        auto conn = connect(server.uri());
        target = std::make_shared<cancel_target>(conn.get());
    }
    std::promise<cancel_result> ended;
    auto request = start(target, context.io, ended);
    BOOST_TEST((wait(ended) == cancel_result::failed));
    BOOST_TEST(request->ended());
}

BOOST_AUTO_TEST_CASE(context_may_end_while_a_request_is_under_way)
{
    auto conn = connect(shared_server().uri());
    auto target = std::make_shared<cancel_target>(conn.get());
    shared_server().pause();
    auto ended = std::make_shared<std::atomic<int>>(0);
    {
        asio::io_context io;
        auto request = cancel_request::start(target, io.get_executor(), [ended](cancel_result) { ++*ended; });
        io.poll();
    }
    shared_server().resume();
    BOOST_TEST(*ended <= 1);
}

#ifdef LIBPQ_HAS_ASYNC_CANCEL
BOOST_AUTO_TEST_CASE(request_that_nobody_takes_is_overdue)
{
    running_context context;
    auto conn = connect(shared_server().uri());
    auto target = std::make_shared<cancel_target>(conn.get());
    shared_server().pause();
    std::promise<cancel_result> ended;
    auto request = start(target, context.io, ended, std::chrono::milliseconds(50));
    auto how = wait(ended);
    shared_server().resume();
    BOOST_TEST((how == cancel_result::overdue));
    BOOST_TEST(!request->ended());
}
#endif

BOOST_AUTO_TEST_CASE(connection_without_encryption_allows_any_request)
{
    auto conn = connect(shared_server().uri());
    cancel_target target(conn.get());
    BOOST_TEST(target.allows(cancel_encryption::prefer));
    BOOST_TEST(target.allows(cancel_encryption::require));
}

BOOST_AUTO_TEST_SUITE_END()
