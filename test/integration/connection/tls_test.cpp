// Encrypted connections, with a certificate made for the occasion.
#include "integration/connection/support.hpp"

#include "connection/cancel_request.hpp"
#include "connection/session.hpp"

#include <filesystem>

using pgcoro::connection;
using pgcoro::connection_failure;
using pgcoro::connection_options;

namespace
{

// A server with TLS, its certificate (for localhost and 127.0.0.1) signed by itself; made once for all tests
// here. Null where there is no openssl to make one.
struct tls_server
{
    pgcoro::testing::server server;
    std::filesystem::path certificate;
    std::filesystem::path stranger; // a certificate of somebody else
};

bool make_certificate(const std::filesystem::path& certificate, const std::filesystem::path& key)
{
    auto command = "openssl req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=localhost "
                   "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out '" +
                   certificate.string() + "' -keyout '" + key.string() + "' 2>/dev/null";
    return std::system(command.c_str()) == 0;
}

tls_server* shared_tls_server()
{
    static auto made = []() -> std::unique_ptr<tls_server> {
        auto t = std::make_unique<tls_server>();
        auto data = t->server.folder() / "data";
        t->certificate = t->server.folder() / "root.crt";
        t->stranger = t->server.folder() / "stranger.crt";
        auto key = t->server.folder() / "server.key";
        if (!make_certificate(t->stranger, key) || !make_certificate(t->certificate, key)) return nullptr;
        // As the server, who must own its key: it reads what we made, and writes it to a file of its own.
        std::filesystem::permissions(key, std::filesystem::perms(0644));
        auto copy = [&](const std::filesystem::path& from, const char* name) {
            t->server.psql("copy (select 1) to program 'umask 077; cat " + from.string() + " > " +
                           (data / name).string() + "'");
        };
        copy(t->certificate, "server.crt");
        copy(key, "server.key");
        t->server.psql("alter system set ssl = on");
        t->server.restart();
        return t;
    }();
    return made.get();
}

connection_options tls_options(tls_server& t, const char* sslmode)
{
    auto options = connection_options::from_uri(t.server.tcp_uri());
    options.parameters["sslmode"] = sslmode;
    return options;
}

} // namespace

BOOST_AUTO_TEST_SUITE(tls, *boost::unit_test::precondition([](boost::unit_test::test_unit_id) {
                          return boost::test_tools::assertion_result(shared_tls_server() != nullptr);
                      }))

BOOST_AUTO_TEST_CASE(a_connection_is_encrypted)
{
    with_connection(tls_options(*shared_tls_server(), "require"), [](connection& c) -> asio::awaitable<void> {
        auto yes = co_await c.query_value<bool>("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
        BOOST_TEST(yes);
        co_await c.ping();
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(large_values_go_both_ways_encrypted)
{
    with_connection(tls_options(*shared_tls_server(), "require"), [](connection& c) -> asio::awaitable<void> {
        std::string large(10'000'000, 'x');
        for (int i = 0; i < 3; ++i) {
            auto back = co_await c.query_value<std::string>("select $1::text", large);
            BOOST_TEST((back == large));
            auto rows = co_await c.query("select repeat('x', n % 20000) from generate_series(1, 2000) n");
            BOOST_TEST(rows.size() == 2000u);
        }
        // Sizes around those of TLS records, where the end of one is the end of an answer.
        for (int size = 16'000; size < 16'800; size += 7) {
            auto text = co_await c.query_value<std::string>("select repeat('x', $1)", size);
            BOOST_TEST(text.size() == static_cast<std::size_t>(size));
        }
    });
}

BOOST_AUTO_TEST_CASE(a_query_is_cancelled_encrypted)
{
    with_connection(tls_options(*shared_tls_server(), "require"), [](connection& c) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        beside sleeper(executor, [&] { return c.execute("select pg_sleep(600)"); });
        co_await sleeper.end();
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(a_known_certificate_is_taken)
{
    auto& t = *shared_tls_server();
    for (auto* host : {"127.0.0.1", "localhost"}) {
        auto options = tls_options(t, "verify-full");
        options.parameters["host"] = host;
        options.parameters["sslrootcert"] = t.certificate.string();
        with_connection(options, [](connection& c) { return check_usable(c); });
    }
}

BOOST_AUTO_TEST_CASE(a_strangers_certificate_is_refused)
{
    auto& t = *shared_tls_server();
    auto options = tls_options(t, "verify-full");
    options.parameters["sslrootcert"] = t.stranger.string();
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::tls, e.what());
    BOOST_TEST(!e.is_transient());
}

BOOST_AUTO_TEST_CASE(a_certificate_for_another_name_is_refused)
{
    auto& t = *shared_tls_server();
    auto options = tls_options(t, "verify-full");
    options.parameters["sslrootcert"] = t.certificate.string();
    options.parameters["hostaddr"] = "127.0.0.1";
    options.parameters["host"] = "db.example.com";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::tls, e.what());
    BOOST_TEST(contains(e.what(), "db.example.com"));
}

BOOST_AUTO_TEST_CASE(a_missing_root_certificate_is_a_wrong_option_of_tls)
{
    auto& t = *shared_tls_server();
    auto options = tls_options(t, "verify-full");
    options.parameters["sslrootcert"] = "/nowhere/root.crt";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::tls, e.what());
    BOOST_TEST(contains(e.what(), "/nowhere/root.crt"));
}

BOOST_AUTO_TEST_CASE(a_server_without_tls_is_refused_where_it_is_required)
{
    auto options = connection_options::from_uri(shared_server().tcp_uri());
    options.parameters["sslmode"] = "require";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::tls, e.what());
}

BOOST_AUTO_TEST_CASE(the_next_host_is_tried_when_one_has_no_tls)
{
    auto& t = *shared_tls_server();
    auto options = tls_options(t, "require");
    options.parameters["host"] = "127.0.0.1,127.0.0.1";
    options.parameters["port"] =
        std::to_string(shared_server().port()) + "," + std::to_string(t.server.port());
    with_connection(options, [](connection& c) { return check_usable(c); });
}

BOOST_AUTO_TEST_CASE(required_encryption_allows_no_clear_text_cancel)
{
    using pgcoro::cancel_encryption;
    with_connection(tls_options(*shared_tls_server(), "require"), [](connection& c) -> asio::awaitable<void> {
        pgcoro::detail::cancel_target target(c.session().pg());
        BOOST_TEST(target.allows(cancel_encryption::prefer));
#ifdef LIBPQ_HAS_ASYNC_CANCEL
        BOOST_TEST(target.allows(cancel_encryption::require));
#else
        BOOST_TEST(!target.allows(cancel_encryption::require)); // such a libpq encrypts none
#endif
        co_return;
    });
}

BOOST_AUTO_TEST_SUITE_END()
