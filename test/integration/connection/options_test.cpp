// What the options say arrives at the server; what they cannot say is refused by name.
#include "integration/connection/support.hpp"

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
    BOOST_TEST(e.why() == connection_failure::other);
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

BOOST_AUTO_TEST_SUITE_END()
