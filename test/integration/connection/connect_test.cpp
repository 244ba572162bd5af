// Reaching a server and logging in.
#include "integration/connection/cancelling.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <fstream>

using pgcoro::connection;
using pgcoro::connection_failure;
using pgcoro::connection_options;

namespace
{

// A port that is taken and whose owner never accepts; nor says anything to those the kernel accepts for it.
class black_hole
{
public:
    black_hole()
        : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0})
    {}
    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

private:
    asio::io_context io_;
    asio::ip::tcp::acceptor acceptor_;
};

// A port where nobody listens: bound, so that nobody else takes it, and no more.
class dead_port
{
public:
    dead_port()
        : socket_(io_, asio::ip::tcp::v4())
    {
        socket_.bind({asio::ip::make_address("127.0.0.1"), 0});
    }
    std::string port() const { return std::to_string(socket_.local_endpoint().port()); }

private:
    asio::io_context io_;
    asio::ip::tcp::socket socket_;
};

connection_options tcp_options() { return connection_options::from_uri(shared_server().tcp_uri()); }

std::string shared_port() { return std::to_string(shared_server().port()); }

void check_connects(connection_options options)
{
    with_connection(std::move(options), [](connection& c) { return check_usable(c); });
}

pgcoro::testing::server_options with_password()
{
    pgcoro::testing::server_options options;
    options.auth = "scram-sha-256";
    options.password = "open sesame";
    return options;
}

} // namespace

BOOST_AUTO_TEST_SUITE(connecting)

BOOST_AUTO_TEST_CASE(a_uri_for_the_unix_socket_connects)
{
    run([]() -> asio::awaitable<void> {
        auto uri = shared_server().uri();
        auto conn = co_await connection::connect(uri);
        co_await check_usable(conn);
        auto pid = co_await conn.query_value<int>("select pg_backend_pid()");
        BOOST_TEST(conn.backend_pid() == pid);
        auto version = co_await conn.query_value<std::string>("show server_version_num");
        BOOST_TEST(std::to_string(conn.server_version()) == version);
        BOOST_TEST(conn.parameter_status("client_encoding") == "UTF8");
        BOOST_TEST(conn.parameter_status("no such setting") == "");
    });
}

BOOST_AUTO_TEST_CASE(an_address_connects_over_tcp) { check_connects(tcp_options()); }

BOOST_AUTO_TEST_CASE(keywords_and_values_connect)
{
    auto& s = shared_server();
    check_connects(connection_options::from_uri("host=" + s.socket_dir().string() + " port=" + shared_port() +
                                                " user=postgres dbname=postgres"));
}

BOOST_AUTO_TEST_CASE(a_host_name_is_resolved)
{
    auto options = tcp_options();
    options.parameters["host"] = "localhost";
    check_connects(options);
}

BOOST_AUTO_TEST_CASE(an_ipv6_address_connects)
{
    boost::system::error_code ec;
    asio::io_context io;
    asio::ip::tcp::acceptor probe(io);
    probe.open(asio::ip::tcp::v6(), ec);
    if (!ec) probe.bind({asio::ip::make_address("::1"), 0}, ec);
    if (ec) {
        BOOST_TEST_MESSAGE("no IPv6 on this machine");
        return;
    }
    auto options = tcp_options();
    options.parameters["host"] = "::1";
    check_connects(options);
}

BOOST_AUTO_TEST_CASE(the_environment_connects)
{
    auto& s = shared_server();
    scoped_env host("PGHOST", s.socket_dir().string());
    scoped_env port("PGPORT", shared_port());
    scoped_env user("PGUSER", "postgres");
    scoped_env database("PGDATABASE", "template1");
    with_connection(connection_options::from_env(), [](connection& c) -> asio::awaitable<void> {
        auto name = co_await c.query_value<std::string>("select current_database()");
        BOOST_TEST(name == "template1");
    });
}

BOOST_AUTO_TEST_CASE(database_url_comes_before_the_other_variables)
{
    scoped_env database("PGDATABASE", "template1");
    scoped_env url("DATABASE_URL", shared_server().uri());
    with_connection(connection_options::from_env(), [](connection& c) -> asio::awaitable<void> {
        auto name = co_await c.query_value<std::string>("select current_database()");
        BOOST_TEST(name == "postgres");
    });
}

BOOST_AUTO_TEST_CASE(a_service_file_connects)
{
    auto file = shared_server().folder() / "service.conf";
    std::ofstream(file) << "[mine]\nhost=" << shared_server().socket_dir().string()
                        << "\nport=" << shared_port() << "\nuser=postgres\ndbname=template1\n";
    scoped_env where("PGSERVICEFILE", file.string());
    with_connection(connection_options::from_uri("service=mine"), [](connection& c) -> asio::awaitable<void> {
        auto name = co_await c.query_value<std::string>("select current_database()");
        BOOST_TEST(name == "template1");
    });
    auto e = connect_failure(connection_options::from_uri("service=other"));
    BOOST_TEST(e.why() == connection_failure::options);
    BOOST_TEST(contains(e.what(), "other"));
}

BOOST_AUTO_TEST_CASE(nobody_listening_is_refused)
{
    dead_port dead;
    auto options = tcp_options();
    options.parameters["port"] = dead.port();
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::refused);
    BOOST_TEST(contains(e.what(), "127.0.0.1 port " + dead.port()));
    BOOST_TEST(e.is_transient());
}

BOOST_AUTO_TEST_CASE(a_unix_socket_that_is_not_there_is_refused)
{
    auto options = shared_options();
    options.parameters["host"] = "/nowhere";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::refused);
    BOOST_TEST(contains(e.what(), "/nowhere"));
}

BOOST_AUTO_TEST_CASE(the_next_host_is_tried_when_one_refuses)
{
    dead_port dead;
    auto options = tcp_options();
    options.parameters["host"] = "127.0.0.1,127.0.0.1";
    options.parameters["port"] = dead.port() + "," + shared_port();
    check_connects(options);
}

BOOST_AUTO_TEST_CASE(a_socket_folder_and_an_address_stand_in_one_list)
{
    auto options = tcp_options();
    options.parameters["host"] = "/nowhere,127.0.0.1";
    check_connects(options);
    options.parameters["host"] = "nowhere.invalid," + shared_server().socket_dir().string();
    check_connects(options);
}

BOOST_AUTO_TEST_CASE(the_next_host_is_tried_when_one_never_answers)
{
    black_hole hole;
    auto options = tcp_options();
    options.connect_timeout = std::chrono::milliseconds(300);
    options.parameters["host"] = "127.0.0.1,localhost";
    options.parameters["port"] = hole.port() + "," + shared_port();
    check_connects(options);
}

BOOST_AUTO_TEST_CASE(a_host_that_never_answers_is_a_timeout)
{
    black_hole hole;
    auto options = tcp_options();
    options.connect_timeout = std::chrono::milliseconds(100);
    options.parameters["port"] = hole.port();
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::timeout);
    BOOST_TEST(contains(e.what(), "logging in"));
    BOOST_TEST(contains(e.what(), hole.port()));
}

BOOST_AUTO_TEST_CASE(a_paused_server_is_a_timeout)
{
    auto options = shared_options();
    options.connect_timeout = std::chrono::milliseconds(200);
    shared_server().pause();
    auto e = connect_failure(options);
    shared_server().resume();
    BOOST_TEST(e.why() == connection_failure::timeout);
}

BOOST_AUTO_TEST_CASE(an_unknown_host_name_is_told_apart)
{
    auto options = tcp_options();
    options.parameters["host"] = "nowhere.invalid";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::resolve);
    BOOST_TEST(contains(e.what(), "nowhere.invalid"));
}

BOOST_AUTO_TEST_CASE(every_attempt_is_told)
{
    dead_port first;
    black_hole second;
    auto options = tcp_options();
    options.connect_timeout = std::chrono::milliseconds(100);
    options.parameters["host"] = "127.0.0.1,127.0.0.1,nowhere.invalid";
    options.parameters["port"] = first.port() + "," + second.port() + ",5432";
    auto e = connect_failure(options);
    BOOST_TEST(contains(e.what(), first.port()));
    BOOST_TEST(contains(e.what(), second.port()));
    BOOST_TEST(contains(e.what(), "nowhere.invalid"));
    BOOST_TEST(e.why() == connection_failure::timeout); // it came farthest
}

BOOST_AUTO_TEST_CASE(no_such_database_is_told_apart)
{
    auto e = connect_failure(connection_options::from_uri(shared_server().uri("missing")));
    BOOST_TEST(e.why() == connection_failure::no_such_database);
    BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("3D000"));
    BOOST_TEST(contains(e.what(), "missing"));
    BOOST_TEST(!e.is_transient());
}

BOOST_AUTO_TEST_CASE(a_wrong_password_is_told_apart_and_never_shown)
{
    pgcoro::testing::server server(with_password());
    auto options = connection_options::from_uri(server.tcp_uri());
    options.parameters["password"] = "open sesame";
    check_connects(options);

    options.parameters["password"] = "wr0ng-pa55word";
    auto wrong = connect_failure(options);
    BOOST_TEST(wrong.why() == connection_failure::authentication);
    BOOST_TEST(wrong.sqlstate() == pgcoro::sqlstate("28P01"));
    BOOST_TEST(!wrong.is_transient());
    BOOST_TEST(!contains(wrong.what(), "wr0ng-pa55word"));

    options.parameters.erase("password");
    auto none = connect_failure(options);
    BOOST_TEST(none.why() == connection_failure::authentication);

    auto uri =
        "postgresql://postgres:wr0ng-pa55word@127.0.0.1:" + std::to_string(server.port()) + "/postgres";
    auto by_uri = connect_failure(connection_options::from_uri(uri));
    BOOST_TEST(by_uri.why() == connection_failure::authentication);
    BOOST_TEST(!contains(by_uri.what(), "wr0ng-pa55word"));

    // A server that knows us and refuses is not asked around for.
    options.parameters["password"] = "wr0ng-pa55word";
    options.parameters["host"] = "127.0.0.1," + shared_server().socket_dir().string();
    options.parameters["port"] = std::to_string(server.port()) + "," + shared_port();
    BOOST_TEST(connect_failure(options).why() == connection_failure::authentication);
}

BOOST_AUTO_TEST_CASE(too_many_connections_are_told_apart)
{
    pgcoro::testing::server_options settings;
    settings.settings["max_connections"] = "2";
    settings.settings["superuser_reserved_connections"] = "1";
    settings.settings["max_wal_senders"] = "0";
    pgcoro::testing::server server(settings);
    server.psql("create role ordinary login");
    auto options = connection_options::from_uri(server.uri());
    options.parameters["user"] = "ordinary";
    run([&]() -> asio::awaitable<void> {
        std::optional<connection> first;
        while (!first) {
            try {
                first = co_await connection::connect(options);
            } catch (const pgcoro::connection_error&) { // the server may take its time to end psql's session
            }
        }
        auto e = co_await failure_of<pgcoro::connection_error>(connection::connect(options));
        BOOST_TEST(e.why() == connection_failure::too_many_connections);
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("53300"));
        BOOST_TEST(e.is_transient());
        co_await check_usable(*first);
    });
}

BOOST_AUTO_TEST_CASE(target_session_attrs_are_heeded)
{
    auto options = shared_options();
    for (auto* fits : {"any", "read-write", "primary", "prefer-standby"}) {
        options.parameters["target_session_attrs"] = fits;
        check_connects(options);
    }
    for (auto* does_not : {"standby", "read-only"}) {
        options.parameters["target_session_attrs"] = does_not;
        BOOST_TEST(connect_failure(options).why() == connection_failure::wrong_role);
    }
    scoped_env role("PGTARGETSESSIONATTRS", "standby");
    options.parameters.erase("target_session_attrs");
    BOOST_TEST(connect_failure(options).why() == connection_failure::wrong_role);
}

BOOST_AUTO_TEST_CASE(a_server_that_shuts_down_is_starting_up)
{
    pgcoro::testing::server server;
    auto options = connection_options::from_uri(server.uri());
    run([&]() -> asio::awaitable<void> {
        // A smart shutdown waits for us, and takes nobody else.
        auto last = co_await connection::connect(options);
        ::kill(server.pid(), SIGTERM);
        for (;;) {
            std::optional<pgcoro::connection_error> refused;
            try {
                auto another = co_await connection::connect(options);
            } catch (const pgcoro::connection_error& e) {
                refused.emplace(e);
            }
            if (!refused) continue; // the postmaster has not read its signal yet
            BOOST_TEST(refused->why() == connection_failure::starting_up);
            BOOST_TEST(refused->sqlstate() == pgcoro::sqlstate("57P03"));
            BOOST_TEST(refused->is_transient());
            break;
        }
        co_await check_usable(last);
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_connect_leaves_no_session)
{
    auto count = [] {
        return shared_server().psql(
            "select count(*) from pg_stat_activity where application_name = 'unborn'");
    };
    auto options = shared_options();
    options.application_name = "unborn";
    bool completed = false;
    for (int turns = 0; !completed && turns < 1000; ++turns) {
        asio::io_context io;
        completed = cancel_after(
            io, turns, [&]() -> asio::awaitable<void> { auto born = co_await connection::connect(options); });
        io.restart();
        io.run();
    }
    BOOST_TEST(completed);
    while (count() != "0") std::this_thread::yield();
}

BOOST_AUTO_TEST_SUITE_END()
