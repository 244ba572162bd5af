// Each cause, on a server that has it.
#include "cli/support.hpp"
#include "integration/pooler/bouncer.hpp"
#include "integration/support/proxy.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <signal.h>

#include <functional>
#include <thread>

namespace
{

std::string url(const std::string& parameters) { return " --url '" + parameters + "'"; }

// The cause's check; the report is valid, and the command to mend it is there.
boost::json::object diagnose(const std::string& arguments, const std::string& cause, int code = 2,
                             const std::string& variables = {})
{
    auto got = pgcoro_command("doctor --format json " + arguments, variables);
    BOOST_TEST(got.err == "");
    require_valid(got.out);
    BOOST_TEST(got.code == code, got.out);
    auto found = check_named(json_lines(got.out).at(0), cause);
    BOOST_TEST(!found.at("command").as_string().empty());
    BOOST_TEST(!found.at("advice").as_string().empty());
    BOOST_TEST(got.out.find("geheim") == std::string::npos, got.out);
    return found;
}

std::string_view text(const boost::json::object& check, const char* field)
{
    return check.at(field).as_string();
}

// Asks everybody but its superuser, who comes by the Unix socket with a password too, for one.
pgcoro::testing::server& guarded()
{
    static pgcoro::testing::server server = [] {
        pgcoro::testing::server_options o;
        o.hba = {"local all postgres trust",
                 "hostssl all with_tls 127.0.0.1/32 trust",
                 "host all trusted 127.0.0.1/32 trust",
                 "host all few 127.0.0.1/32 trust",
                 "host all missing 127.0.0.1/32 trust",
                 "host all no_line 127.0.0.1/32 reject",
                 "host all app 127.0.0.1/32 scram-sha-256"};
        o.settings["max_connections"] = "8";
        pgcoro::testing::server s(o);
        s.psql(
            "create role app login password 'geheim'; create role trusted login; create role few login "
            "connection "
            "limit 1; create role no_line login; create role with_tls login; create database orders; create "
            "database closed; revoke connect on database closed from public");
        return s;
    }();
    return server;
}

std::string as(const std::string& user, const std::string& database = "postgres",
               const std::string& more = {})
{
    return url("host=127.0.0.1 port=" + std::to_string(guarded().port()) + " user=" + user +
               " dbname=" + database + " " + more);
}

// With TLS, by a certificate that nobody knows, and for role postgres with nothing else.
pgcoro::testing::server& encrypted()
{
    static pgcoro::testing::server server = [] {
        pgcoro::testing::server_options o;
        o.hba = {"hostssl all all 127.0.0.1/32 trust", "hostnossl all all 127.0.0.1/32 reject"};
        pgcoro::testing::server s(o);
        auto data = (s.folder() / "data").string(); // made by the server, who must own its key
        s.psql("copy (select 1) to program 'umask 077; openssl req -new -x509 -days 2 -nodes -newkey "
               "rsa:2048 -subj "
               "/CN=db.example.com -out " +
               data + "/server.crt -keyout " + data + "/server.key 2>/dev/null'");
        s.psql("alter system set ssl = on");
        s.restart();
        return s;
    }();
    return server;
}

std::string to_encrypted(const std::string& more)
{
    return url("host=127.0.0.1 user=postgres dbname=postgres port=" + std::to_string(encrypted().port()) +
               " " + more);
}

void wait_for_sessions(const pgcoro::testing::server& server, const std::string& name, int count)
{
    auto there = "select count(*) from pg_stat_activity where application_name = '" + name + "'";
    wait_until([&] { return server.psql(there) == std::to_string(count); }, "sessions");
}

} // namespace

BOOST_AUTO_TEST_SUITE(doctor)

BOOST_AUTO_TEST_CASE(nothing_is_wrong_with_a_server_that_works)
{
    auto got = pgcoro_command("doctor" + url(shared_server().tcp_uri()));
    BOOST_TEST(got.code == 0);
    compare_with_golden(got.out, "doctor_well.txt");
}

BOOST_AUTO_TEST_CASE(parameters_that_make_no_sense)
{
    auto c = diagnose("", "wrong-option", 2, "PGSERVICE=nowhere PGPASSWORD=geheim");
    BOOST_TEST(text(c, "advice").find("service \"nowhere\" not found") != std::string::npos,
               text(c, "advice"));
}

BOOST_AUTO_TEST_CASE(a_name_without_an_address)
{
    auto c = diagnose(url("postgresql://no-such-host.invalid/app"), "name-not-resolved");
    BOOST_TEST(text(c, "command") == "getent hosts 'no-such-host.invalid'");
}

BOOST_AUTO_TEST_CASE(nobody_listens_on_the_port)
{
    auto got = pgcoro_command("doctor --url postgresql://app@127.0.0.1:1/app");
    BOOST_TEST(got.code == 2);
    compare_with_golden(got.out, "doctor_refused.txt");
    diagnose(url("postgresql://app@127.0.0.1:1/app"), "refused");
}

BOOST_AUTO_TEST_CASE(no_server_behind_the_socket_but_one_on_another_port_is_named)
{
    auto& s = shared_server();
    auto c = diagnose(url("host=" + s.socket_dir().string() + " port=1 user=postgres"), "no-server");
    BOOST_TEST(text(c, "advice").find("port " + std::to_string(s.port())) != std::string::npos,
               text(c, "advice"));
}

BOOST_AUTO_TEST_CASE(a_server_that_hangs)
{
    pgcoro::testing::server server;
    server.pause();
    diagnose("--timeout 0.3" + url(server.tcp_uri()), "no-answer");
    server.resume();
}

BOOST_AUTO_TEST_CASE(something_else_that_listens_there)
{
    namespace asio = boost::asio;
    asio::io_context io;
    asio::ip::tcp::acceptor other(io, {asio::ip::address_v4::loopback(), 0});
    std::function<void()> greet = [&] {
        other.async_accept([&](boost::system::error_code ec, asio::ip::tcp::socket peer) {
            if (ec) return;
            char some[256];
            peer.read_some(asio::buffer(some), ec);
            asio::write(peer, asio::buffer(std::string("HTTP/1.1 400 Bad Request\r\n\r\n")), ec);
            greet();
        });
    };
    greet();
    std::thread serving([&] { io.run(); });
    auto port = std::to_string(other.local_endpoint().port());
    diagnose(url("host=127.0.0.1 user=app sslmode=disable port=" + port), "not-postgresql");
    io.stop();
    serving.join();
}

BOOST_AUTO_TEST_CASE(a_wrong_password)
{
    auto c = diagnose(as("app", "postgres", "password=geheim2"), "wrong-password");
    BOOST_TEST(text(c, "command").find("\\password") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_password_that_nobody_gave)
{
    auto c = diagnose(as("app"), "no-password");
    BOOST_TEST(text(c, "command").find(":postgres:app:PASSWORD") != std::string::npos, text(c, "command"));
}

BOOST_AUTO_TEST_CASE(a_role_that_is_not_there)
{
    auto c = diagnose(as("missing"), "no-such-role");
    BOOST_TEST(text(c, "command").find("createuser --login 'missing'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_line_of_pg_hba_conf) { diagnose(as("no_line"), "no-hba-entry"); }

BOOST_AUTO_TEST_CASE(a_database_that_is_not_there_and_the_one_that_was_meant)
{
    auto c = diagnose(as("trusted", "ordesr"), "no-such-database");
    BOOST_TEST(text(c, "advice").find("did you mean 'orders'?") != std::string::npos, text(c, "advice"));
}

BOOST_AUTO_TEST_CASE(a_database_that_the_role_may_not_connect_to)
{
    auto c = diagnose(as("trusted", "closed"), "no-privilege");
    BOOST_TEST(text(c, "command").find("grant connect on database \"closed\" to \"trusted\"") !=
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(tls_that_the_server_does_not_speak)
{
    auto c = diagnose(as("app", "postgres", "password=geheim sslmode=require"), "tls-refused");
    BOOST_TEST(text(c, "command").find("alter system set ssl = on") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(tls_that_the_server_insists_on)
{
    auto c = diagnose(to_encrypted("sslmode=disable"), "tls-required");
    BOOST_TEST(text(c, "command") == "export PGSSLMODE=require");
}

BOOST_AUTO_TEST_CASE(a_certificate_that_is_not_trusted)
{
    auto root = (encrypted().folder() / "data" / "server.crt").string(); // of another name
    diagnose(to_encrypted("sslmode=verify-full sslrootcert=" + root), "certificate-not-trusted");
}

BOOST_AUTO_TEST_CASE(a_server_that_is_shutting_down)
{
    pgcoro::testing::server server;
    psql_session stays(server, "stays");
    stays.tell("select 1");
    wait_for_sessions(server, "stays", 1);
    ::kill(server.pid(), SIGTERM); // "smart": it waits until all have left
    wait_until(
        [&] {
            try {
                server.psql("select 1");
                return false;
            } catch (const std::runtime_error&) {
                return true;
            }
        },
        "a server that takes nobody any more");
    auto c = diagnose(url(server.uri()), "starting-up");
    BOOST_TEST(text(c, "advice").find("57P03") != std::string::npos, text(c, "advice"));
}

BOOST_AUTO_TEST_CASE(too_many_connections_and_the_administrator_sees_who_holds_them)
{
    auto& server = guarded();
    std::vector<std::unique_ptr<psql_session>> hoarders; // of eight, three are for superusers
    for (int i = 0; i < 5; ++i) {
        hoarders.push_back(std::make_unique<psql_session>(server, "hoarder"));
        hoarders.back()->tell("select 1");
    }
    wait_for_sessions(server, "hoarder", 5);
    auto admin = server.uri();
    auto c = diagnose(as("trusted") + " --admin-url '" + admin + "'", "too-many-connections");
    BOOST_TEST(text(c, "advice").find("5 postgres 'hoarder' from the same machine") != std::string::npos,
               text(c, "advice"));
    auto alone = diagnose(as("trusted"), "too-many-connections");
    BOOST_TEST(text(alone, "advice").find("--admin-url") != std::string::npos);
    // The superuser still gets in, and is told of it as well.
    auto inside = diagnose(url(admin), "too-many-connections", 2);
    BOOST_TEST(text(inside, "advice").find("'hoarder'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_connections_of_one_role_are_told_from_those_of_the_server)
{
    auto& server = guarded();
    auto line = (server.bin_dir() / "psql").string() +
                " -qX 'host=127.0.0.1 user=few dbname=postgres port=" + std::to_string(server.port()) +
                "' >/dev/null 2>&1";
    auto* only = ::popen(line.c_str(), "we");
    wait_until(
        [&] { return server.psql("select count(*) from pg_stat_activity where usename = 'few'") == "1"; },
        "the only session");
    auto c = diagnose(as("few"), "too-many-connections");
    ::pclose(only);
    BOOST_TEST(text(c, "message") == "all of the connections that role few may have are in use");
}

BOOST_AUTO_TEST_CASE(the_connections_of_one_database_are_told_from_those_of_the_server)
{
    guarded().psql("alter database orders connection limit 0");
    auto c = diagnose(as("trusted", "orders"), "too-many-connections");
    guarded().psql("alter database orders connection limit -1");
    BOOST_TEST(text(c, "message") == "all of the connections that database orders may have are in use");
}

BOOST_AUTO_TEST_CASE(a_pooler_in_the_way)
{
    bouncer b(shared_server(), "transaction");
    auto c = diagnose(url(b.uri()), "pooler", 0);
    BOOST_TEST(text(c, "command").find("POOL_POOLER") != std::string::npos);
    // Nor do the others mind it.
    for (auto* command :
         {"health", "monitor --interval 0.2 --duration 0.1 --alert-threshold-query 60000", "locks"}) {
        auto got = pgcoro_command(command + url(b.uri()));
        BOOST_TEST(got.code <= 1, command << ": " << got.out << got.err);
    }
}

BOOST_AUTO_TEST_CASE(a_standby_is_read_only)
{
    pgcoro::testing::server primary;
    pgcoro::testing::server_options o;
    o.replica_of = &primary;
    pgcoro::testing::server standby(o);
    auto c = diagnose(url(standby.uri()), "read-only", 1);
    BOOST_TEST(text(c, "command").find("target_session_attrs=read-write") != std::string::npos);
    diagnose(url(standby.uri() + "&target_session_attrs=primary"), "wrong-role");
}

BOOST_AUTO_TEST_CASE(a_database_that_is_set_to_read_only)
{
    auto& server = guarded();
    server.psql("alter database orders set default_transaction_read_only = on");
    auto c = diagnose(as("trusted", "orders"), "read-only", 1);
    server.psql("alter database orders reset default_transaction_read_only");
    BOOST_TEST(text(c, "command") == "psql -c 'alter database orders reset default_transaction_read_only'");
}

BOOST_AUTO_TEST_CASE(a_slow_way_to_a_quick_server)
{
    using namespace std::chrono_literals;
    test::proxy slow(test::socket_of(shared_server()), [](std::string_view) {
        return test::fault{test::fault::to_client, 0, test::fault::delay, 10ms};
    });
    auto c = diagnose("--slow-round-trip 5" + url(slow.uri()), "slow", 1);
    BOOST_TEST(c.at("value").to_number<double>() >= 10);
}

BOOST_AUTO_TEST_SUITE_END()
