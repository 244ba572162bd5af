// What a request wants, and whether it may: without a socket.
#include "monitor/request.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>

using namespace pgcoro::detail;
namespace http = boost::beast::http;

namespace
{

http_request request(http::verb method, std::string_view target, std::string_view host = "localhost:8780")
{
    http_request r(method, std::string(target), 11);
    r.set(http::field::host, std::string(host));
    return r;
}

// 200 for one that is in order.
unsigned status_of(const http_request& r, const admission& who = {})
{
    try {
        understand(r, who);
        return 200;
    } catch (const problem& p) {
        return static_cast<unsigned>(p.status());
    }
}

unsigned asked(std::string_view target) { return status_of(request(http::verb::get, target)); }

const std::string history = "/api/v1/database/metrics/history";

} // namespace

BOOST_AUTO_TEST_SUITE(monitor_request)

BOOST_AUTO_TEST_CASE(every_route_is_understood_by_its_method_and_by_no_other)
{
    admission who;
    who.allow_invalidation = true;
    for (auto& each : all_routes()) {
        bool post = each.starts_with("POST ");
        auto target = each.substr(each.find(' ') + 1);
        if (target.ends_with("/tag") || target.ends_with("/pattern")) target += "?value=x";
        auto right = request(post ? http::verb::post : http::verb::get, target);
        BOOST_TEST(status_of(right, who) == 200u, each);
        for (auto method : {http::verb::put, http::verb::delete_, http::verb::options,
                            post ? http::verb::get : http::verb::post})
            BOOST_TEST(status_of(request(method, target), who) == 405u, each);
    }
}

BOOST_AUTO_TEST_CASE(a_wrong_method_is_told_the_right_ones)
{
    try {
        understand(request(http::verb::delete_, "/health"), {});
        BOOST_FAIL("accepted");
    } catch (const problem& p) {
        BOOST_TEST(p.allow() == "GET, HEAD");
    }
}

BOOST_AUTO_TEST_CASE(paths_that_do_not_exist_are_not_found)
{
    for (auto path : {"/nothing", "/health/", "//health", "/../health", "/api", "/HEALTH"})
        BOOST_TEST(asked(path) == 404u, path);
}

BOOST_AUTO_TEST_CASE(targets_that_are_none_are_refused)
{
    for (auto target : {"", "health", "/health%", "/health%zz", "/a b"})
        BOOST_TEST(asked(target) == 400u, target);
    BOOST_TEST(asked("http://localhost:8780/health") == 200u); // which HTTP/1.1 has servers take
    BOOST_TEST(asked("/%68ealth") == 200u);
}

BOOST_AUTO_TEST_CASE(parameters_are_read_to_the_last_letter)
{
    auto c = understand(request(http::verb::get, history + "?from=10&to=2e1&step=5.5"), {});
    BOOST_TEST(c.from.value() == 10.0);
    BOOST_TEST(c.to.value() == 20.0);
    BOOST_TEST(c.step == 5.5);
    for (auto wrong :
         {"from=", "from=x", "from=1x", "from=-1", "from=nan", "from=inf", "from=1e99", "from=1&from=2",
          "from=2&to=1", "step=100000", "other=1", "=1", "from", "from=0x10", "from=%00"})
        BOOST_TEST(asked(history + "?" + wrong) == 400u, wrong);
    BOOST_TEST(asked("/health?verbose=1") == 400u);
}

BOOST_AUTO_TEST_CASE(what_to_invalidate_must_be_said_and_is_decoded)
{
    admission who;
    who.allow_invalidation = true;
    const std::string tag = "/api/v1/database/cache/invalidate/tag";
    auto c = understand(request(http::verb::post, tag + "?value=public.a%26b"), who);
    BOOST_TEST(c.value == "public.a&b");
    for (auto wrong : {std::string(), std::string("?value="), "?value=" + std::string(1'001, 'x')})
        BOOST_TEST(status_of(request(http::verb::post, tag + wrong), who) == 400u);
}

BOOST_AUTO_TEST_CASE(names_that_are_not_the_monitors_own_are_refused)
{
    auto by_host = [](std::string_view host, const admission& who = {}) {
        return status_of(request(http::verb::get, "/health", host), who);
    };
    for (auto host : {"localhost", "127.0.0.1:8780", "[::1]:8780", "192.168.0.7", "[fe80::1]"})
        BOOST_TEST(by_host(host) == 200u, host);
    for (auto host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8780", "[", "[]"})
        BOOST_TEST(by_host(host) != 200u, host);
    BOOST_TEST(by_host("db.internal") == 421u);
    BOOST_TEST(by_host("db.internal:80", {.hosts = {"db.internal"}}) == 200u);
    BOOST_TEST(by_host("any.example", {.token = "secret"}) == 200u); // who has it may come by any name
    http_request none(http::verb::get, "/health", 11);
    BOOST_TEST(status_of(none) == 400u);
}

BOOST_AUTO_TEST_CASE(a_foreign_page_cannot_invalidate)
{
    admission who;
    who.allow_invalidation = true;
    auto r = request(http::verb::post, "/api/v1/database/cache/invalidate/all");
    r.set(http::field::origin, "http://evil.example");
    BOOST_TEST(status_of(r, who) == 403u);
    r.set(http::field::origin, "null");
    BOOST_TEST(status_of(r, who) == 403u);
    r.set(http::field::origin, "http://localhost:8780");
    BOOST_TEST(status_of(r, who) == 200u);
}

BOOST_AUTO_TEST_SUITE_END()
