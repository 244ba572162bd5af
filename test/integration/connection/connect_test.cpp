// Reaching a server and logging in.
#include "integration/connection/cancelling.hpp"
#include "integration/resolver.hpp"

#include "connection/conninfo.hpp"
#include "connection/session.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <filesystem>
#include <fstream>
#include <thread>

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

// Answers each connection with the same words, whatever it is asked.
class stranger
{
public:
    explicit stranger(std::string words)
        : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0})
        , thread_([this, words = std::move(words)] {
            boost::system::error_code ec;
            while (!ec) {
                asio::ip::tcp::socket client(io_);
                acceptor_.accept(client, ec);
                if (ended_ || ec) return;
                std::array<char, 512> asked;
                boost::system::error_code ignored;
                client.read_some(asio::buffer(asked), ignored);
                asio::write(client, asio::buffer(words), ignored);
                client.read_some(asio::buffer(asked), ignored); // until the other side hangs up
            }
        })
    {}
    ~stranger()
    {
        ended_ = true;
        asio::ip::tcp::socket(io_).connect(acceptor_.local_endpoint());
        thread_.join();
    }
    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

private:
    asio::io_context io_;
    asio::ip::tcp::acceptor acceptor_;
    std::atomic<bool> ended_ = false;
    std::thread thread_;
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

BOOST_AUTO_TEST_CASE(first_line_of_an_error_has_address_and_reason)
{
    auto first_line = [](const pgcoro::connection_error& e) {
        std::string what = e.what();
        return what.substr(0, what.find('\n'));
    };
    dead_port dead;
    auto options = tcp_options();
    options.parameters["host"] = "localhost";
    options.parameters["hostaddr"] = "127.0.0.1";
    options.parameters["dbname"] = "missing";
    BOOST_TEST(first_line(connect_failure(options)) == "cannot connect to localhost (127.0.0.1) port " +
                                                           shared_port() +
                                                           ": database \"missing\" does not exist (3D000)");
    options.parameters["port"] = dead.port();
    auto e = connect_failure(options);
    BOOST_TEST(first_line(e).starts_with("cannot connect to localhost (127.0.0.1) port " + dead.port() +
                                         ": Connection refused"),
               e.what());
    // The attempt that came farthest is the first; the others follow.
    options.parameters["host"] = "localhost,localhost";
    options.parameters["hostaddr"] = "127.0.0.1,127.0.0.1";
    options.parameters["port"] = dead.port() + "," + shared_port();
    e = connect_failure(options);
    BOOST_TEST(contains(first_line(e), "does not exist"));
    BOOST_TEST(contains(e.what(), "\n  nor to localhost (127.0.0.1) port " + dead.port()));
}

BOOST_AUTO_TEST_CASE(what_waiting_cannot_mend_is_permanent)
{
    auto check = [](const connection_options& options, connection_failure why, std::string_view words) {
        auto e = connect_failure(options);
        BOOST_TEST(e.why() == why, e.what());
        BOOST_TEST(!e.is_transient(), e.what());
        BOOST_TEST(contains(e.what(), words), e.what());
    };
    auto options = tcp_options();
    options.settings["no_such_setting"] = "1";
    check(options, connection_failure::options, "no_such_setting");
    options = tcp_options();
    options.settings["work_mem"] = "much";
    check(options, connection_failure::options, "much");
    options = tcp_options();
    options.parameters["host"] = "/" + std::string(120, 'x');
    check(options, connection_failure::options, "path of the Unix socket");
    for (auto* keyword : {"keepalives_idle", "tcp_user_timeout", "connect_timeout"}) {
        options = tcp_options();
        options.parameters[keyword] = "soon";
        check(options, connection_failure::options, "'soon' is not a whole number");
    }
    shared_server().psql("create database closed allow_connections false");
    check(connection_options::from_uri(shared_server().uri("closed")), connection_failure::options, "closed");
    shared_server().psql("drop database closed");
}

BOOST_AUTO_TEST_CASE(a_server_of_another_protocol_is_permanent)
{
    for (auto* sslmode : {"prefer", "disable", "require"})
        for (std::string words :
             {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1\r\n", "J\0\0\0\n8.0.36",
              "220 mail.example.com ESMTP\r\n", "-ERR unknown command\r\n"}) {
            stranger other(words);
            auto options = tcp_options();
            options.parameters["port"] = other.port();
            options.parameters["sslmode"] = sslmode;
            auto e = connect_failure(options);
            BOOST_TEST(e.why() == connection_failure::protocol, sslmode << ", " << words << ": " << e.what());
            BOOST_TEST(!e.is_transient());
            BOOST_TEST(contains(e.what(), "not a PostgreSQL server"));
        }
}

BOOST_AUTO_TEST_CASE(login_refused_for_now_is_transient)
{
    // What PgBouncer and a server that shuts down answer to a startup packet.
    for (auto [code, message] :
         {std::pair("08P01", "query_wait_timeout"), std::pair("08P01", "server login has been failing"),
          std::pair("08006", "connection failure"), std::pair("57P01", "terminating connection"),
          std::pair("57P02", "terminating connection"),
          std::pair("57P03", "the database system is starting up"), std::pair("53200", "out of memory")}) {
        std::string fields =
            std::string("SFATAL") + '\0' + "VFATAL" + '\0' + 'C' + code + '\0' + 'M' + message + '\0' + '\0';
        auto size = static_cast<char>(fields.size() + 4);
        stranger server(std::string("E\0\0\0", 4) + size + fields);
        auto options = tcp_options();
        options.parameters["port"] = server.port();
        options.parameters["sslmode"] = "disable";
        auto e = connect_failure(options);
        BOOST_TEST(e.is_transient(), e.what());
        BOOST_TEST(contains(e.what(), std::string(message) + " (" + code + ")"), e.what());
    }
}

BOOST_AUTO_TEST_CASE(an_ignored_password_file_is_named)
{
    pgcoro::testing::server server(with_password());
    auto options = connection_options::from_uri(server.tcp_uri());
    options.parameters.erase("password");
    auto file = server.folder() / "passwords";
    std::ofstream(file) << "*:*:*:*:open sesame\n";
    options.parameters["passfile"] = file.string();
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    check_connects(options);
    std::filesystem::permissions(file, std::filesystem::perms(0644));
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::authentication);
    BOOST_TEST(contains(e.what(), "the password file " + file.string() + " was ignored"), e.what());
    BOOST_TEST(contains(e.what(), "chmod 600"), e.what());
    options.parameters["passfile"] = server.folder().string();
    BOOST_TEST(contains(connect_failure(options).what(), "it is not a plain file"));
    options.parameters["password"] = "wrong";
    BOOST_TEST(!contains(connect_failure(options).what(), "was ignored"));
}

BOOST_AUTO_TEST_CASE(a_name_that_hangs_holds_up_no_other_name)
{
    named_address hangs("hangs.example", "127.0.0.1", std::chrono::seconds(60));
    named_address quick("quick.example");
    auto slow = tcp_options();
    slow.parameters["host"] = "hangs.example";
    slow.connect_timeout = std::chrono::milliseconds(20);
    auto fast = tcp_options();
    fast.parameters["host"] = "quick.example";
    auto begun = std::chrono::steady_clock::now();
    run([&]() -> asio::awaitable<void> {
        // More callers than there are threads: they share one look-up.
        for (int i = 0; i < 80; ++i) {
            auto e = co_await failure_of<pgcoro::connection_error>(connection::connect(slow));
            BOOST_TEST(e.why() == connection_failure::timeout);
        }
    });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connection::connect(fast);
        co_await check_usable(conn);
    });
    BOOST_TEST((std::chrono::steady_clock::now() - begun < std::chrono::seconds(50))); // before that answer
}

BOOST_AUTO_TEST_CASE(a_context_ends_while_a_look_up_hangs)
{
    named_address hangs("hung.example", "127.0.0.1", std::chrono::seconds(20));
    auto options = tcp_options();
    options.parameters["host"] = "hung.example";
    auto begun = std::chrono::steady_clock::now();
    {
        asio::io_context io;
        auto connect = [&]() -> asio::awaitable<void> { auto c = co_await connection::connect(options); };
        asio::co_spawn(io, connect(), asio::detached);
        io.poll();
    }
    BOOST_TEST((std::chrono::steady_clock::now() - begun < std::chrono::seconds(15)));
}

BOOST_AUTO_TEST_CASE(a_mute_host_is_tried_last_from_then_on)
{
    black_hole hole;
    auto options = tcp_options();
    options.connect_timeout = std::chrono::milliseconds(500);
    options.parameters["host"] = "127.0.0.1,localhost";
    options.parameters["port"] = hole.port() + "," + shared_port();
    check_connects(options);
    options.connect_timeout = std::chrono::hours(1); // the first host would take all of it
    check_connects(options);
    options.parameters["host"] = "127.0.0.1"; // alone it is asked all the same
    options.parameters["port"] = hole.port();
    options.connect_timeout = std::chrono::milliseconds(50);
    BOOST_TEST(connect_failure(options).why() == connection_failure::timeout);
}

BOOST_AUTO_TEST_SUITE_END()
