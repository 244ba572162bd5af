#include "cluster/hosts.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using namespace std::chrono_literals;
using pgcoro::cluster_options;
using pgcoro::connection_options;
using pgcoro::detail::host_named;
using pgcoro::detail::hosts_of;

BOOST_AUTO_TEST_SUITE(cluster_hosts_tests)

BOOST_AUTO_TEST_CASE(a_uri_with_several_hosts_is_taken_apart)
{
    cluster_options options;
    options.pool.connection = connection_options::from_uri(
        "postgresql://app@a:5433,b,[::1]:5434/shop?target_session_attrs=read-write");
    auto found = hosts_of(options);
    BOOST_TEST_REQUIRE(found.size() == 3u);
    BOOST_TEST(found[0].first == "a:5433");
    BOOST_TEST(found[1].first == "b:5432");
    BOOST_TEST(found[2].first == "::1:5434");
    for (auto& [name, how] : found) {
        BOOST_TEST(how.parameters.at("dbname") == "shop");
        BOOST_TEST(how.parameters.at("target_session_attrs") == "any");
    }
    BOOST_TEST(found[2].second.parameters.at("host") == "::1");
    BOOST_TEST(found[2].second.parameters.at("port") == "5434");
}

BOOST_AUTO_TEST_CASE(hosts_may_be_listed_beside_the_uri)
{
    cluster_options options;
    options.pool.connection = connection_options::from_uri("postgresql://app@elsewhere/shop");
    options.hosts = {"a", "b:5433", "[::1]:5434", "[::1]", "/run/postgresql:5435"};
    auto found = hosts_of(options);
    BOOST_TEST_REQUIRE(found.size() == 5u);
    BOOST_TEST(found[0].first == "a:5432");
    BOOST_TEST(found[2].first == "::1:5434");
    BOOST_TEST(found[3].first == "::1:5432");
    BOOST_TEST(found[4].second.parameters.at("host") == "/run/postgresql");
    BOOST_TEST(found[4].second.parameters.at("port") == "5435");
}

BOOST_AUTO_TEST_CASE(what_names_no_host_is_refused)
{
    for (const char* text : {"", ":5432", "[::1", "[::1]5432", "[]:1"})
        BOOST_CHECK_THROW(host_named({}, text), std::invalid_argument);
    for (const char* text : {"a:0", "a:65536", "a:x"})
        BOOST_CHECK_THROW(host_named({}, text), pgcoro::connection_error);
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_named)
{
    cluster_options options;
    options.max_lag = 999ms; // checks every 500 ms
    BOOST_CHECK_EXCEPTION(options.validate(), std::invalid_argument, [](const std::exception& e) {
        return std::string(e.what()).find("max_lag is 999 ms") != std::string::npos;
    });
    options.max_lag = 0ms;
    BOOST_CHECK_NO_THROW(options.validate());
    options.check_interval = 0ms;
    BOOST_CHECK_THROW(options.validate(), std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
