// What the options say arrives at the server; what they cannot say is refused by name.
#include "integration/connection/support.hpp"

#include "connection/conninfo.hpp"
#include "connection/session.hpp"

#include <pgcoro/pool/pool.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>

using pgcoro::connection;
using pgcoro::connection_failure;
using pgcoro::connection_options;

namespace
{

void check_shows(connection_options options, std::string name, std::string value)
{
    with_connection(std::move(options), [&](connection& c) -> asio::awaitable<void> {
        auto sql = "select current_setting($1)";
        auto shown = co_await c.query_value<std::string>(sql, name);
        BOOST_TEST(shown == value, name << " is '" << shown << "'");
    });
}

std::string refusal(const connection_options& options)
{
    return run([&]() -> asio::awaitable<std::string> {
        auto e = co_await failure_of<std::invalid_argument>(connection::connect(options));
        co_return e.what();
    });
}

} // namespace

BOOST_AUTO_TEST_SUITE(connection_settings)

BOOST_AUTO_TEST_CASE(timeouts_arrive)
{
    auto options = shared_options();
    check_shows(options, "statement_timeout", "30s");
    check_shows(options, "lock_timeout", "10s");
    check_shows(options, "idle_in_transaction_session_timeout", "1min");
    options.statement_timeout = std::chrono::milliseconds(1234);
    check_shows(options, "statement_timeout", "1234ms");
}

BOOST_AUTO_TEST_CASE(a_statement_timeout_of_0_is_none)
{
    auto options = shared_options();
    options.statement_timeout = std::chrono::milliseconds(0);
    check_shows(options, "statement_timeout", "0");
}

BOOST_AUTO_TEST_CASE(settings_arrive_whatever_is_in_them)
{
    auto options = shared_options();
    options.settings["app.motto"] = R"(two  blanks, a \ and a 'quote' and "quotes" and = too)";
    options.settings["search_path"] = "\"my schema\", public";
    options.settings["app.empty"] = "";
    check_shows(options, "app.motto", options.settings["app.motto"]);
    check_shows(options, "search_path", "\"my schema\", public");
    check_shows(options, "app.empty", "");
    options.settings["app.lines"] = "one\ntwo\tthree\rfour\vfive\fsix";
    check_shows(options, "app.lines", options.settings["app.lines"]);
}

BOOST_AUTO_TEST_CASE(a_setting_the_server_refuses_is_its_error)
{
    auto options = shared_options();
    options.settings["work_mem"] = "much";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::options);
    BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22023"));
    BOOST_TEST(contains(e.what(), "work_mem"));
}

BOOST_AUTO_TEST_CASE(pgoptions_are_kept)
{
    scoped_env given("PGOPTIONS", "-c work_mem=7MB");
    auto options = shared_options();
    options.settings["app.mine"] = "yes";
    check_shows(options, "work_mem", "7MB");
    check_shows(options, "app.mine", "yes");
}

BOOST_AUTO_TEST_CASE(options_of_the_uri_are_kept)
{
    auto options = connection_options::from_uri(shared_server().uri() +
                                                (contains(shared_server().uri(), "?") ? "&" : "?") +
                                                "options=-c%20work_mem%3D9MB");
    check_shows(options, "work_mem", "9MB");
    check_shows(options, "statement_timeout", "30s");
}

BOOST_AUTO_TEST_CASE(the_application_name_arrives)
{
    auto options = shared_options();
    check_shows(options, "application_name", "pgcoro");
    options.application_name = "the till";
    check_shows(options, "application_name", "the till");
    options.application_name.clear();
    scoped_env given("PGAPPNAME", "of the environment");
    check_shows(options, "application_name", "of the environment");
}

BOOST_AUTO_TEST_CASE(a_malformed_uri_is_refused_without_showing_the_password)
{
    for (std::string uri :
         {"postgresql://joe:s3cret@[::1/db", "postgresql://joe:s3cret@host:port:1/db?nonsense=%zz",
          "postgresql://joe:s3cret@host/db?what_is_this=1", "host", "password=s3cret what_is_this=1",
          "password='s3cret", ""}) {
        BOOST_CHECK_EXCEPTION(
            connection_options::from_uri(uri), std::invalid_argument, [](const std::invalid_argument& e) {
                BOOST_TEST_MESSAGE(e.what());
                return contains(e.what(), "malformed connection string") && !contains(e.what(), "s3cret");
            });
    }
}

BOOST_AUTO_TEST_CASE(a_port_out_of_range_is_refused)
{
    for (auto* port : {"0", "65536", "-1", "http", "5432x"}) {
        auto options = shared_options();
        options.parameters["port"] = port;
        auto e = connect_failure(options);
        BOOST_TEST(e.why() == connection_failure::options);
        BOOST_TEST(contains(e.what(), port));
        BOOST_TEST(!e.is_transient());
    }
}

BOOST_AUTO_TEST_CASE(lists_of_different_lengths_are_refused)
{
    auto options = shared_options();
    options.parameters["host"] = "a,b,c";
    options.parameters["port"] = "1,2";
    auto e = connect_failure(options);
    BOOST_TEST(e.why() == connection_failure::options);
    BOOST_TEST(contains(e.what(), "2 ports for 3 hosts"));
}

BOOST_AUTO_TEST_CASE(an_unknown_parameter_is_refused)
{
    auto options = shared_options();
    options.parameters["hots"] = "localhost";
    BOOST_TEST(contains(refusal(options), "'hots'"));
}

BOOST_AUTO_TEST_CASE(a_parameter_with_a_senseless_value_is_refused)
{
    for (std::string name : {"sslmode", "target_session_attrs", "gssencmode", "channel_binding"}) {
        auto options = shared_options();
        options.parameters[name] = "sometimes";
        auto e = connect_failure(options);
        BOOST_TEST(e.why() == connection_failure::options, name << ": " << e.what());
        BOOST_TEST(contains(e.what(), "sometimes"));
        BOOST_TEST(contains(e.what(), name));
    }
}

BOOST_AUTO_TEST_CASE(a_time_out_of_range_is_refused_by_name)
{
    using std::chrono::milliseconds;
    auto options = shared_options();
    options.connect_timeout = milliseconds(0);
    BOOST_TEST(contains(refusal(options), "connect_timeout is 0 ms"));
    options = shared_options();
    options.statement_timeout = milliseconds(-1);
    BOOST_TEST(contains(refusal(options), "statement_timeout is -1 ms"));
    options = shared_options();
    options.lock_timeout = milliseconds(-5);
    BOOST_TEST(contains(refusal(options), "lock_timeout is -5 ms"));
    options = shared_options();
    options.idle_in_transaction_session_timeout = milliseconds(3'000'000'000);
    BOOST_TEST(contains(refusal(options), "idle_in_transaction_session_timeout is 3000000000 ms"));
    options = shared_options();
    options.response_grace = milliseconds(-1);
    BOOST_TEST(contains(refusal(options), "response_grace is -1 ms"));
}

BOOST_AUTO_TEST_CASE(a_description_never_has_the_password)
{
    auto options = connection_options::from_uri("postgresql://joe:s3cret@there:77/shop");
    BOOST_TEST(options.describe() == "host there, port 77, database shop, user joe");
}

BOOST_AUTO_TEST_CASE(a_limit_of_the_user_wins_over_the_default)
{
    auto& s = shared_server();
    auto uri = [&](const std::string& parameters) {
        return connection_options::from_uri(s.uri() + (contains(s.uri(), "?") ? "&" : "?") + parameters);
    };
    auto options = uri("options=-c%20statement_timeout%3D5s%20--lock-timeout%3D1s");
    check_shows(options, "statement_timeout", "5s");
    check_shows(options, "lock_timeout", "1s");
    check_shows(options, "idle_in_transaction_session_timeout", "1min");
    options.statement_timeout = std::chrono::seconds(30); // chosen, though it is the default's value
    check_shows(options, "statement_timeout", "30s");
    {
        scoped_env given("PGOPTIONS", "-c statement_timeout=7s");
        check_shows(shared_options(), "statement_timeout", "7s");
    }
    options = shared_options();
    options.settings["Statement_Timeout"] = "9s";
    check_shows(options, "statement_timeout", "9s");
}

BOOST_AUTO_TEST_CASE(a_limit_of_role_or_database_wins_over_the_default)
{
    auto& s = shared_server();
    s.psql("create role patient login; alter role patient set statement_timeout = '5min'; "
           "alter role patient set lock_timeout = 0; "
           "alter database postgres set idle_in_transaction_session_timeout = '3min'");
    auto options = shared_options();
    options.parameters["user"] = "patient";
    check_shows(options, "statement_timeout", "5min");
    check_shows(options, "lock_timeout", "0");
    check_shows(options, "idle_in_transaction_session_timeout", "3min");
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        BOOST_TEST((c.session().options().statement_timeout == std::chrono::minutes(5))); // as it waits, too
        co_return;
    });
    options.statement_timeout = std::chrono::seconds(8);
    check_shows(options, "statement_timeout", "8s");
    s.psql("alter database postgres reset idle_in_transaction_session_timeout; drop role patient");
}

BOOST_AUTO_TEST_CASE(default_limits_survive_the_reset_of_a_pool)
{
    run([]() -> asio::awaitable<void> {
        pgcoro::pool_options o;
        o.connection = shared_options();
        o.size = 1;
        o.max_overflow = 0;
        pgcoro::pool pool(co_await asio::this_coro::executor, o);
        {
            auto lease = co_await pool.acquire();
            co_await lease->execute("set statement_timeout = '1h'");
        }
        auto shown = co_await pool.query_value<std::string>("show statement_timeout");
        BOOST_TEST(shown == "30s");
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_CASE(a_connect_timeout_of_uri_or_environment_is_kept)
{
    asio::io_context io;
    asio::ip::tcp::acceptor mute(io, {asio::ip::make_address("127.0.0.1"), 0});
    auto uri =
        "postgresql://postgres@127.0.0.1:" + std::to_string(mute.local_endpoint().port()) + "/postgres";
    auto waited = [](const connection_options& options) {
        auto begun = std::chrono::steady_clock::now();
        auto e = connect_failure(options);
        BOOST_TEST(e.why() == connection_failure::timeout);
        return std::chrono::steady_clock::now() - begun;
    };
    using namespace std::chrono_literals;
    BOOST_TEST((waited(connection_options::from_uri(uri + "?connect_timeout=1")) < 9s));
    scoped_env given("PGCONNECT_TIMEOUT", "1");
    BOOST_TEST((waited(connection_options::from_uri(uri)) < 9s));
    auto options = connection_options::from_uri(uri + "?connect_timeout=3600");
    options.connect_timeout = 100ms;
    BOOST_TEST((waited(options) < 9s));
}

BOOST_AUTO_TEST_CASE(an_application_name_of_the_user_wins_over_the_pools)
{
    auto& s = shared_server();
    auto uri = [&](const std::string& parameters) {
        return connection_options::from_uri(s.uri() + (contains(s.uri(), "?") ? "&" : "?") + parameters);
    };
    auto shown = [](const connection_options& options) {
        return run([&]() -> asio::awaitable<std::string> {
            pgcoro::pool_options o;
            o.connection = options;
            o.name = "orders";
            pgcoro::pool pool(co_await asio::this_coro::executor, o);
            auto name = co_await pool.query_value<std::string>("show application_name");
            co_await pool.close();
            co_return name;
        });
    };
    BOOST_TEST(shown(shared_options()) == "orders");
    BOOST_TEST(shown(uri("application_name=billing")) == "billing");
    BOOST_TEST(shown(uri("fallback_application_name=fallback")) == "fallback");
    BOOST_TEST(shown(uri("options=-c%20application_name%3Dby-options")) == "by-options");
    auto options = uri("application_name=billing");
    options.settings["application_name"] = "by settings";
    BOOST_TEST(shown(options) == "by settings");
    options.application_name = "chosen";
    BOOST_TEST(shown(options) == "chosen");
    scoped_env given("PGAPPNAME", "of the environment");
    BOOST_TEST(shown(shared_options()) == "of the environment");
    BOOST_TEST(shown(uri("application_name=billing")) == "billing");
}

BOOST_AUTO_TEST_CASE(an_encoding_other_than_utf8_is_refused)
{
    auto check_refused = [](const connection_options& options) {
        auto e = connect_failure(options);
        BOOST_TEST(e.why() == connection_failure::options);
        BOOST_TEST(contains(e.what(), "'LATIN1' cannot be honoured"), e.what());
        BOOST_TEST(contains(e.what(), "UTF-8"), e.what());
    };
    auto options = shared_options();
    options.parameters["client_encoding"] = "LATIN1";
    check_refused(options);
    options = shared_options();
    options.parameters["options"] = "-c client_encoding=LATIN1";
    check_refused(options);
    options = shared_options();
    options.settings["client_encoding"] = "LATIN1";
    check_refused(options);
    {
        scoped_env given("PGCLIENTENCODING", "LATIN1");
        check_refused(shared_options());
    }
    for (auto* name : {"UTF8", "utf-8", "Unicode"}) {
        options = shared_options();
        options.parameters["client_encoding"] = name;
        check_shows(options, "client_encoding", "UTF8");
    }
}

BOOST_AUTO_TEST_CASE(what_is_no_name_of_a_setting_is_refused)
{
    for (std::string name :
         {"", "work mem", "a=b", "work_mem -c log_statement", "1st", "a;b", "a\nb", "a-b"}) {
        auto options = shared_options();
        options.settings[name] = "1";
        BOOST_TEST(contains(refusal(options), "is not the name of a setting"), name);
    }
    auto options = shared_options();
    options.settings["app.ok"] = std::string("a\0b", 3);
    BOOST_TEST(contains(refusal(options), "NUL"));
    options = shared_options();
    options.parameters["password"] = std::string("a\0b", 3);
    BOOST_TEST(contains(refusal(options), "NUL"));
}

// Every parameter of libpq is honoured, or refused with a sentence. A parameter that is not in this table has
// been added to libpq since, and needs a decision.
BOOST_AUTO_TEST_CASE(every_parameter_of_libpq_is_honoured_or_refused)
{
    auto& s = shared_server();
    auto file = [&](const char* name, const char* text) {
        auto path = s.folder() / name;
        std::ofstream(path) << text;
        std::filesystem::permissions(path, std::filesystem::perms(0600));
        return path.string();
    };
    auto tcp = connection_options::from_uri(s.tcp_uri());
    auto with = [&](const char* keyword, const std::string& value) {
        auto options = tcp;
        options.parameters[keyword] = value;
        return options;
    };
    auto query = [](const connection_options& options, const char* sql) {
        std::string got;
        with_connection(options, [&](connection& c) -> asio::awaitable<void> {
            got = co_await c.query_value<std::string>(sql);
        });
        return got;
    };
    // libpq has taken the value, and it alone acts on it.
    auto reaches_libpq = [&](const char* keyword, const std::string& value) {
        with_connection(with(keyword, value), [&](connection& c) -> asio::awaitable<void> {
            std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> all(PQconninfo(c.session().pg()),
                                                                             &PQconninfoFree);
            std::string found = "(nothing)";
            for (auto* o = all.get(); o->keyword; ++o)
                if (o->keyword == std::string_view(keyword) && o->val) found = o->val;
            BOOST_TEST(found == value, keyword << " is " << found);
            co_return;
        });
    };
    auto is_refused = [&](const char* keyword, const std::string& value, std::string_view sentence) {
        auto e = connect_failure(with(keyword, value));
        BOOST_TEST(e.why() == connection_failure::options, keyword << ": " << e.what());
        BOOST_TEST(contains(e.what(), sentence), keyword << ": " << e.what());
    };
    using decision = std::function<void(const char*)>;
    auto passed = [&](const std::string& value) -> decision {
        return [&, value](const char* keyword) { reaches_libpq(keyword, value); };
    };
    auto shown = [&](const std::string& value, const char* sql) -> decision {
        return [&, value, sql](const char* keyword) {
            auto got = query(with(keyword, value), sql);
            BOOST_TEST(got == value, keyword << ": " << got);
        };
    };
    decision elsewhere = [](const char*) {}; // another test, named in the table, covers it
    s.psql("create role caller login superuser password '" + s.password() + "'");
    std::map<std::string, decision> table{
        {"user", shown("caller", "select current_user::text")},
        {"dbname", shown("template1", "select current_database()::text")},
        {"application_name", shown("mine", "show application_name")},
        {"fallback_application_name", shown("mine", "show application_name")},
        {"client_encoding", shown("UTF8", "show client_encoding")},
        {"host", elsewhere},                 // connecting/a_host_name_is_resolved
        {"hostaddr", elsewhere},             // connecting/first_line_of_an_error_has_address_and_reason
        {"port", elsewhere},                 // connecting/the_next_host_is_tried_when_one_refuses
        {"service", elsewhere},              // connecting/a_service_file_connects
        {"password", elsewhere},             // connecting/a_wrong_password_is_told_apart_and_never_shown
        {"passfile", elsewhere},             // connecting/an_ignored_password_file_is_named
        {"connect_timeout", elsewhere},      // a_connect_timeout_of_uri_or_environment_is_kept
        {"target_session_attrs", elsewhere}, // connecting/target_session_attrs_are_heeded
        {"load_balance_hosts", elsewhere},   // below
        {"options",
         [&](const char* keyword) {
             BOOST_TEST(query(with(keyword, "-c work_mem=7MB"), "show work_mem") == "7MB");
         }},
        {"replication",
         [&](const char* keyword) {
             is_refused(keyword, "database", "replication 'database' cannot be honoured");
             check_shows(with(keyword, "false"), "application_name", "pgcoro");
         }},
        {"keepalives", passed("0")},
        {"keepalives_idle", passed("7")},
        {"keepalives_interval", passed("7")},
        {"keepalives_count", passed("7")},
        {"tcp_user_timeout", passed("7000")},
        {"sslmode", passed("allow")},
        {"sslnegotiation", passed("postgres")},
        {"sslcompression", passed("0")},
        {"sslcert", passed(file("client.crt", ""))},
        {"sslkey", passed(file("client.key", ""))},
        {"sslcertmode", passed("disable")},
        {"sslpassword", passed("none")},
        {"sslrootcert", passed(file("root.crt", ""))},
        {"sslcrl", passed(file("crl.pem", ""))},
        {"sslcrldir", passed(s.folder().string())},
        {"sslsni", passed("0")},
        {"sslkeylogfile", passed(file("keys.log", ""))},
        {"requirepeer", passed("postgres")},
        {"require_auth", passed("scram-sha-256")},
        {"min_protocol_version", passed("3.0")},
        {"max_protocol_version", passed("latest")},
        {"ssl_min_protocol_version", passed("TLSv1.2")},
        {"ssl_max_protocol_version", passed("TLSv1.3")},
        {"gssencmode", passed("disable")},
        {"krbsrvname", passed("postgres")},
        {"gsslib", passed("gssapi")},
        {"gssdelegation", passed("0")},
        {"channel_binding", passed("disable")},
        {"servicefile", passed(file("services", ""))},
        {"scram_client_key", passed("")},
        {"scram_server_key", passed("")},
        {"oauth_issuer", passed("")},
        {"oauth_client_id", passed("")},
        {"oauth_client_secret", passed("")},
        {"oauth_scope", passed("")},
    };
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> all(PQconndefaults(), &PQconninfoFree);
    for (auto* o = all.get(); o->keyword; ++o) {
        auto it = table.find(o->keyword);
        BOOST_TEST((it != table.end()), "libpq has a parameter without a decision here: " << o->keyword);
        if (it != table.end()) it->second(o->keyword);
    }
    if (pgcoro::detail::is_conninfo_keyword("load_balance_hosts"))
        is_refused("load_balance_hosts", "sometimes", "load_balance_hosts");
    s.psql("drop role caller");
}

BOOST_AUTO_TEST_SUITE_END()
