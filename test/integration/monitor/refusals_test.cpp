// What is asked wrongly, or by who may not.
#include "integration/monitor/support.hpp"

#include <deque>

using namespace pgcoro;
using std::chrono::milliseconds;
using response = http_client::response;

namespace
{

unsigned status_in(const response& r)
{
    auto body = json::parse(r.body()).as_object();
    auto told = body.at("status").to_number<unsigned>();
    BOOST_TEST(told == r.result_int());
    BOOST_TEST(!body.at("detail").as_string().empty());
    return told;
}

} // namespace

BOOST_AUTO_TEST_SUITE(monitor_refusals)

BOOST_AUTO_TEST_CASE(bytes_that_are_no_request_are_answered_by_a_problem_and_a_close)
{
    struct wrong
    {
        std::string sent;
        unsigned status;
    };
    const std::string line = "GET /health HTTP/1.1\r\n";
    const std::vector<wrong> all{
        {"hello\r\n\r\n", 400},
        {"GET /health HTTP/9.9\r\n\r\n", 400},
        {"GET\r\n\r\n", 400},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400}, // TLS
        {line + "Host: localhost\r\nno colon\r\n\r\n", 400},
        {line + "Host: localhost\r\nContent-Length: x\r\n\r\n", 400},
        {line + "Host: localhost\r\nX: " + std::string(9'000, 'x') + "\r\n\r\n", 431},
        {"GET /" + std::string(9'000, 'x') + " HTTP/1.1\r\n\r\n", 431},
        {line + "Host: localhost\r\nContent-Length: 100000\r\n\r\n", 413},
    };
    watched_service w;
    w.run([&](http_client&) -> asio::awaitable<void> {
        for (auto& each : all) {
            http_client c(w.io.get_executor());
            co_await c.connect(w.monitor.port());
            co_await c.send(each.sent);
            auto r = co_await c.receive();
            BOOST_TEST(status_in(r) == each.status, each.sent.substr(0, 60)
                                                        << " was answered " << r.result_int());
            auto over = co_await c.at_end();
            BOOST_TEST(over);
        }
        http_client c(w.io.get_executor());
        co_await c.connect(w.monitor.port());
        auto still = co_await c.ask("GET", "/health");
        BOOST_TEST(still.result_int() == 200u);
    });
}

BOOST_AUTO_TEST_CASE(who_is_slow_with_a_request_is_told_so)
{
    monitor_options o;
    o.request_timeout = milliseconds(20);
    watched_service w(o);
    w.run([](http_client& c) -> asio::awaitable<void> {
        co_await c.send("GET /health HTT");
        auto r = co_await c.receive();
        BOOST_TEST(status_in(r) == 408u);
        auto over = co_await c.at_end();
        BOOST_TEST(over);
    });
}

BOOST_AUTO_TEST_CASE(who_says_nothing_is_let_go_without_a_word)
{
    monitor_options o;
    o.idle_timeout = milliseconds(20);
    watched_service w(o);
    w.run([](http_client& c) -> asio::awaitable<void> {
        auto over = co_await c.at_end();
        BOOST_TEST(over);
    });
}

BOOST_AUTO_TEST_CASE(who_does_not_take_its_answers_does_not_keep_others_waiting)
{
    monitor_options o;
    o.write_timeout = milliseconds(50);
    o.max_connections = 2;
    o.max_streams = 1;
    watched_service w(o);
    w.run([&](http_client& c) -> asio::awaitable<void> {
        std::string many;
        for (int i = 0; i < 200; ++i) many += "GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
        co_await c.send(many); // some 40 MB of answers
        for (int i = 0; i < 3; ++i) {
            http_client other(w.io.get_executor());
            co_await other.connect(w.monitor.port());
            auto r = co_await other.ask("GET", "/health");
            BOOST_TEST(r.result_int() == 200u);
        }
    });
}

namespace
{

// Opens connections that keep their places in the way that `hold` says, many more than there are, and asks
// for the health in between.
template <class Hold>
void probes_get_through(Hold hold)
{
    monitor_options o;
    o.token = "correct horse";
    watched_service w(o); // with the default timeouts: 5 s and more
    w.run([&](http_client& first) -> asio::awaitable<void> {
        std::deque<http_client> held;
        for (int i = 0; i < 200; ++i) {
            auto& c = held.emplace_back(w.io.get_executor());
            co_await c.connect(w.monitor.port());
            co_await hold(c);
            if (i % 50 != 49) continue;
            auto begun = std::chrono::steady_clock::now();
            http_client probe(w.io.get_executor());
            co_await probe.connect(w.monitor.port());
            auto r = co_await probe.ask("GET", "/health");
            BOOST_TEST(r.result_int() == 200u);
            BOOST_TEST((std::chrono::steady_clock::now() - begun < std::chrono::seconds(1)));
        }
        auto over = co_await first.at_end(); // it has waited longest
        BOOST_TEST(over);
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(idle_connections_do_not_keep_a_probe_out)
{
    probes_get_through([](http_client&) -> asio::awaitable<void> { co_return; });
}

BOOST_AUTO_TEST_CASE(unfinished_requests_do_not_keep_a_probe_out)
{
    probes_get_through([](http_client& c) -> asio::awaitable<void> { co_await c.send("GET /health HTT"); });
}

BOOST_AUTO_TEST_CASE(unread_answers_do_not_keep_a_probe_out)
{
    std::string many;
    for (int i = 0; i < 40; ++i) many += "GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    probes_get_through([&](http_client& c) -> asio::awaitable<void> { co_await c.send(many); });
}

namespace
{

void answers_a_probe_in_time(pgcoro::testing::server& server, bool up)
{
    pgcoro::metrics metrics;
    asio::io_context io;
    pgcoro::pool_options p;
    p.connection = pgcoro::connection_options::from_uri(server.uri());
    p.size = 2;
    pgcoro::pool pool(io.get_executor(), p);
    monitor_options o;
    o.port = 0;
    pgcoro::monitor monitor(io.get_executor(), {.metrics = &metrics, .pool = &pool}, o);
    run_on(io, [&]() -> asio::awaitable<void> {
        beside serving(io.get_executor(), [&] { return monitor.run(); });
        for (int i = 0; i < 3; ++i) {
            auto begun = std::chrono::steady_clock::now();
            http_client c(io.get_executor());
            co_await c.connect(monitor.port());
            auto r = co_await c.ask("GET", "/health");
            BOOST_TEST(r.result_int() == (up ? 200u : 503u));
            BOOST_TEST((std::chrono::steady_clock::now() - begun < std::chrono::seconds(1)));
        }
        co_await serving.end();
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(readiness_is_answered_within_a_second)
{
    pgcoro::testing::server server;
    answers_a_probe_in_time(server, true);
    server.pause();
    answers_a_probe_in_time(server, false);
    server.stop();
    answers_a_probe_in_time(server, false);
}

BOOST_AUTO_TEST_CASE(with_a_token_all_but_health_and_the_page_itself_wants_it)
{
    monitor_options o;
    o.token = "correct horse";
    watched_service w(o);
    w.run([](http_client& c) -> asio::awaitable<void> {
        for (auto open : {"/health", "/", "/dashboard.js", "/openapi.json"}) {
            auto r = co_await c.ask("GET", open);
            BOOST_TEST(r.result_int() == 200u);
        }
        for (auto sent :
             {"", "Authorization: Bearer wrong horses!\r\n", "Authorization: Bearer correct hors\r\n",
              "Authorization: Basic correct horse\r\n", "Authorization: Bearer\r\n"}) {
            auto r = co_await c.ask("GET", "/metrics", sent);
            BOOST_TEST(status_in(r) == 401u);
            BOOST_TEST(r[http::field::www_authenticate] == "Bearer");
        }
        auto r = co_await c.ask("GET", "/health/detailed", "Authorization: Bearer correct horse\r\n");
        BOOST_TEST(r.result_int() == 200u);
    });
}

BOOST_AUTO_TEST_CASE(the_cache_stays_as_it_is_unless_invalidation_is_switched_on)
{
    watched_service w;
    w.run([&](http_client& c) -> asio::awaitable<void> {
        auto r = co_await c.ask("POST", "/api/v1/database/cache/invalidate/all");
        BOOST_TEST(status_in(r) == 403u);
        BOOST_TEST(w.cache.stats().invalidations == 0u);
    });
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range_are_refused_by_name)
{
    auto refused = [](monitor_options o) {
        try {
            o.validate();
        } catch (const std::invalid_argument& e) {
            return std::string(e.what());
        }
        return std::string("accepted");
    };
    BOOST_TEST(contains(refused({.address = "localhost"}), "address is 'localhost'"));
    BOOST_TEST(contains(refused({.max_connections = 4, .max_streams = 4}), "max_streams is 4"));
    BOOST_TEST(contains(refused({.max_header_bytes = 10}), "max_header_bytes is 10"));
    BOOST_TEST(contains(refused({.interval = milliseconds(1)}), "interval is 1 ms"));
    BOOST_TEST(refused({}) == "accepted");
}

BOOST_AUTO_TEST_SUITE_END()
