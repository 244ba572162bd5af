// The API, asked by a client over HTTP.
#include "integration/monitor/support.hpp"

#include "monitor/request.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>

#include <thread>

using namespace pgcoro;
using std::chrono::milliseconds;
using response = http_client::response;

namespace
{

const std::string v1 = "/api/v1/database/";

json::object body_of(const response& r) { return json::parse(r.body()).as_object(); }

std::uint64_t count_of(const json::value& v) { return v.to_number<std::uint64_t>(); }

// A problem has its status in its body, too.
void check_problem(const response& r, unsigned status, std::string_view detail)
{
    BOOST_TEST(r.result_int() == status);
    BOOST_TEST(r[http::field::content_type] == "application/problem+json");
    auto body = body_of(r);
    BOOST_TEST(count_of(body.at("status")) == status);
    auto said = std::string(body.at("detail").as_string());
    BOOST_TEST(contains(said, detail), said << " should contain " << detail);
}

} // namespace

BOOST_AUTO_TEST_SUITE(monitor_api)

BOOST_AUTO_TEST_CASE(health_is_200_while_the_database_answers_and_503_when_it_does_not)
{
    monitor_options o;
    o.check_within = milliseconds(500);
    watched_service w(o);
    w.run([&](http_client& c) -> asio::awaitable<void> {
        auto up = co_await c.ask("GET", "/health");
        BOOST_TEST(up.result_int() == 200u);
        BOOST_TEST(body_of(up).at("status").as_string() == "healthy");
        std::vector<lease> all; // nobody else gets one
        for (int i = 0; i < 3; ++i) {
            auto one = co_await w.pool.acquire();
            all.push_back(std::move(one));
        }
        auto seen = 200u;
        json::object detailed;
        while (seen == 200) { // the last check counts for an interval
            auto down = co_await c.ask("GET", "/health/detailed");
            seen = down.result_int();
            detailed = body_of(down);
        }
        BOOST_TEST(seen == 503u);
        BOOST_TEST(!detailed.at("success").as_bool());
        auto& database = detailed.at("checks").as_object().at("database").as_object();
        BOOST_TEST(!database.at("healthy").as_bool());
        BOOST_TEST(count_of(database.at("pool_checked_out")) == 3u);
        BOOST_TEST(count_of(database.at("overflow")) == 1u);
        BOOST_TEST(!detailed.at("findings").as_array().empty());
        auto again = co_await c.ask("GET", "/health");
        BOOST_TEST(again.result_int() == 503u);
    });
}

BOOST_AUTO_TEST_CASE(detailed_health_tells_which_tables_are_there)
{
    shared_server().psql("create table if not exists monitored (n int)");
    monitor_options o;
    o.tables = {"public.monitored", "public.never_made"};
    watched_service w(o);
    w.run([](http_client& c) -> asio::awaitable<void> {
        auto r = co_await c.ask("GET", "/health/detailed");
        auto body = body_of(r);
        auto& tables = body.at("tables").as_array();
        BOOST_TEST(tables.at(0).as_object().at("exists").as_bool());
        BOOST_TEST(!tables.at(1).as_object().at("exists").as_bool());
        BOOST_TEST(!body.at("success").as_bool());
        auto evidence = body.at("findings").as_array().at(0).as_object().at("evidence").as_string();
        BOOST_TEST(evidence == "public.never_made");
    });
}

BOOST_AUTO_TEST_CASE(what_was_run_is_what_the_figures_say)
{
    watched_service w;
    w.run([&](http_client& c) -> asio::awaitable<void> {
        for (int i = 0; i < 9; ++i) co_await w.pool.named("load").query("select $1::int", i);
        co_await failure_of<server_error>(w.pool.query("select 1/0"));
        auto pay = [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1"); };
        co_await transactional(w.pool, pay);

        auto figures = co_await c.ask("GET", "/api/metrics/database");
        auto all = body_of(figures);
        BOOST_TEST(count_of(all.at("total_operations")) == w.metrics.snapshot().queries.count);
        BOOST_TEST(count_of(all.at("error_count")) == 1u);
        for (auto name : {"min", "avg", "max", "p50", "p95", "p99"})
            BOOST_TEST(all.at(std::string(name) + "_duration").to_number<double>() > 0);

        auto current = co_await c.ask("GET", v1 + "metrics/current");
        auto now = body_of(current);
        auto& operations = now.at("operations").as_array();
        BOOST_TEST(operations.at(0).as_object().at("name").as_string() == "load");
        BOOST_TEST(count_of(operations.at(0).as_object().at("count")) == 9u);

        auto connections = co_await c.ask("GET", v1 + "connections/status");
        BOOST_TEST(count_of(body_of(connections).at("total").as_object().at("capacity")) == 3u);
        auto transactions = co_await c.ask("GET", v1 + "transactions/stats");
        BOOST_TEST(body_of(transactions).at("success_rate").to_number<double>() == 1.0);
        auto health = co_await c.ask("GET", v1 + "health");
        BOOST_TEST(count_of(body_of(health).at("score")) > 0u);

        auto dashboard = co_await c.ask("GET", v1 + "dashboard");
        auto shown = body_of(dashboard);
        std::uint64_t in_histogram = 0;
        for (auto& each : shown.at("latency").as_array())
            in_histogram += count_of(each.as_object().at("count"));
        auto queries = count_of(shown.at("queries").as_object().at("count"));
        BOOST_TEST(queries >= 11u);
        BOOST_TEST(in_histogram ==
                   count_of(shown.at("queries").as_object().at("duration").as_object().at("count")));
    });
}

BOOST_AUTO_TEST_CASE(what_transactions_were_retried_for_and_breakers_opened_by_is_told)
{
    watched_service w;
    transaction_event e;
    e.outcome = transaction_outcome::committed;
    e.attempts = 6;
    e.serialization_failures = 3;
    e.deadlocks = 2;
    w.metrics.on_transaction(e);
    e.outcome = transaction_outcome::rolled_back;
    w.metrics.on_transaction(e);
    w.metrics.on_breaker({"shop", "closed", "open"});
    w.run([](http_client& c) -> asio::awaitable<void> {
        auto stats = co_await c.ask("GET", v1 + "transactions/stats");
        auto all = body_of(stats);
        BOOST_TEST(count_of(all.at("serialization_failures")) == 6u);
        BOOST_TEST(count_of(all.at("deadlocks")) == 4u);
        BOOST_TEST(count_of(all.at("total").as_object().at("retries")) == 10u);
        BOOST_TEST(all.at("success_rate").to_number<double>() == 0.5);
        auto health = co_await c.ask("GET", "/health/detailed");
        BOOST_TEST(body_of(health).at("breaker").as_object().at("state").as_string() == "open");
    });
}

BOOST_AUTO_TEST_CASE(history_gives_the_samples_of_a_range_in_steps)
{
    watched_service w;
    for (int i = 1; i <= 120; ++i) {
        sample s;
        s.time = 60.0 * i;
        s.length = 60;
        s.queries = i;
        w.history.add(s);
    }
    w.run([](http_client& c) -> asio::awaitable<void> {
        auto some = co_await c.ask("GET", v1 + "metrics/history?from=3600&to=7200");
        BOOST_TEST(body_of(some).at("samples").as_array().size() == 60u);
        auto steps = co_await c.ask("GET", v1 + "metrics/history?from=3600&to=7200&step=600");
        auto body = body_of(steps);
        BOOST_TEST(body.at("samples").as_array().size() == 6u);
        double sum = 0;
        for (auto& each : body.at("samples").as_array())
            sum += each.as_object().at("queries").to_number<double>();
        BOOST_TEST(sum == 120 * 121 / 2 - 60 * 61 / 2);
        BOOST_TEST(body.at("trends").as_object().contains("p95"));
    });
}

BOOST_AUTO_TEST_CASE(alerts_are_told_when_raised_and_no_more_when_cleared)
{
    watched_service w;
    w.run([&](http_client& c) -> asio::awaitable<void> {
        sample s;
        s.time = 60;
        s.queries = 100;
        s.error_rate = 0.5;
        s.availability = s.cache_hit_ratio = 1;
        w.alerts.evaluate(s);
        auto raised = co_await c.ask("GET", v1 + "alerts");
        auto active = body_of(raised).at("active").as_array();
        BOOST_TEST(active.size() == 1u);
        BOOST_TEST(active.at(0).as_object().at("name").as_string() == "error_rate");
        BOOST_TEST(active.at(0).as_object().at("severity").as_string() == "critical");
        s.time = 120;
        s.error_rate = 0;
        w.alerts.evaluate(s);
        auto cleared = co_await c.ask("GET", v1 + "alerts");
        BOOST_TEST(body_of(cleared).at("active").as_array().empty());
        BOOST_TEST(body_of(cleared).at("all").as_array().size() == 1u);
    });
}

BOOST_AUTO_TEST_CASE(the_cache_is_invalidated_by_tag_pattern_and_as_a_whole)
{
    shared_server().psql("create table if not exists monitored (n int)");
    monitor_options o;
    o.allow_invalidation = true;
    watched_service w(o);
    w.run([&](http_client& c) -> asio::awaitable<void> {
        std::string sql = "select count(*) from monitored";
        auto at = v1 + "cache/invalidate/";
        std::uint64_t queries = 0;
        for (auto what : {"tag?value=public.monitored", "pattern?value=public.*", "all"}) {
            co_await w.cache.query_value<std::int64_t>(sql);
            co_await w.cache.query_value<std::int64_t>(sql);
            ++queries; // of two calls
            BOOST_TEST(w.cache.stats().queries == queries);
            auto done = co_await c.ask("POST", at + what);
            BOOST_TEST(done.result_int() == 200u);
            BOOST_TEST(body_of(done).at("success").as_bool());
        }
        co_await w.cache.query_value<std::int64_t>(sql);
        auto figures = co_await c.ask("GET", v1 + "cache/metrics");
        BOOST_TEST(count_of(body_of(figures).at("queries")) == queries + 1);
        BOOST_TEST(count_of(body_of(figures).at("hits")) == 3u);
        BOOST_TEST(body_of(figures).at("hit_ratio").to_number<double>() == 3.0 / 7);
    });
}

BOOST_AUTO_TEST_CASE(prometheus_reads_its_own_format)
{
    watched_service w;
    w.run([&](http_client& c) -> asio::awaitable<void> {
        co_await w.pool.query("select 1");
        auto r = co_await c.ask("GET", "/metrics");
#ifdef PGCORO_TEST_PROMETHEUS
        BOOST_TEST(r.result_int() == 200u);
        BOOST_TEST(contains(r.body(), "# TYPE db_client_operation_duration_seconds histogram"));
#else
        check_problem(r, 501, "without prometheus-cpp");
#endif
    });
}

BOOST_AUTO_TEST_CASE(the_description_has_every_route_and_each_answers_as_described)
{
    monitor_options o;
    o.allow_invalidation = true;
    watched_service w(o);
    w.run([&](http_client& c) -> asio::awaitable<void> {
        auto got = co_await c.ask("GET", "/openapi.json");
        auto described = body_of(got);
        BOOST_TEST(described.at("openapi").as_string().starts_with("3."));
        for (auto& route : detail::all_routes()) {
            auto path = route.substr(route.find(' ') + 1);
            bool of_the_page = path == "/" || path.ends_with(".js") || path.ends_with(".css");
            BOOST_TEST((of_the_page || described.at("paths").as_object().contains(path)), path);
        }
        co_await w.sampler.take();
        for (auto& [path, operations] : described.at("paths").as_object()) {
            for (auto& [method, operation] : operations.as_object()) {
                if (path.ends_with("/events")) continue; // has no end
                std::string target = path;
                if (path.ends_with("/tag") || path.ends_with("/pattern")) target += "?value=x";
                auto r = co_await c.ask(method == "get" ? "GET" : "POST", target);
                auto& responses = operation.as_object().at("responses").as_object();
                auto* answer = responses.if_contains(std::to_string(r.result_int()));
                BOOST_TEST_REQUIRE(answer != nullptr, method << " " << path << " answers " << r.result_int());
                auto type = std::string(r[http::field::content_type]);
                if (answer->as_object().contains("$ref")) continue; // a problem
                auto& content = answer->as_object().at("content").as_object();
                auto* as = content.if_contains(type.substr(0, type.find(';')));
                BOOST_TEST_REQUIRE(as != nullptr, path << " is " << type);
                auto* schema = as->as_object().if_contains("schema");
                if (!schema || !schema->as_object().contains("required")) continue;
                auto body = body_of(r);
                for (auto& each : schema->as_object().at("required").as_array())
                    BOOST_TEST(body.contains(each.as_string()), path << " lacks " << each);
            }
        }
    });
}

BOOST_AUTO_TEST_CASE(events_come_each_interval_until_the_client_goes)
{
    monitor_options o;
    o.max_streams = 1;
    watched_service w(o);
    w.run([&](http_client& c) -> asio::awaitable<void> {
        co_await c.send("GET " + v1 + "events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        auto head = co_await c.receive_until("\r\n\r\n");
        BOOST_TEST(contains(head, "text/event-stream"));
        double last = 0;
        co_await c.receive_until("retry: 2000\n\n");
        for (int i = 0; i < 3; ++i) {
            auto event = co_await c.receive_until("\n\n");
            const std::string begin = "event: dashboard\ndata: ";
            BOOST_TEST_REQUIRE(event.starts_with(begin));
            auto time = json::parse(event.substr(begin.size())).as_object().at("time").to_number<double>();
            BOOST_TEST(time > last);
            last = time;
        }
        http_client second(w.io.get_executor());
        co_await second.connect(w.monitor.port());
        auto refused = co_await second.ask("GET", v1 + "events");
        check_problem(refused, 503, "max_streams");
        c.close();
        auto status = 503u;
        while (status == 503) { // until the first one's place is free
            http_client third(w.io.get_executor());
            co_await third.connect(w.monitor.port());
            co_await third.send("GET " + v1 + "events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            auto line = co_await third.receive_until("\r\n");
            if (line.starts_with("HTTP/1.1 200")) status = 200;
        }
    });
}

BOOST_AUTO_TEST_CASE(several_threads_may_run_its_io_context)
{
    watched_service w;
    auto serving = asio::make_strand(w.io.get_executor());
    asio::cancellation_signal end;
    auto stop_all = [&](std::exception_ptr) { w.io.stop(); };
    asio::co_spawn(serving, w.monitor.run(), asio::bind_cancellation_slot(end.slot(), stop_all));
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { w.io.run(); });

    asio::io_context outside; // of one thread
    int answered = 0;
    auto ask = [&](std::string target) -> asio::awaitable<void> {
        http_client c(outside.get_executor());
        co_await c.connect(w.monitor.port());
        for (int i = 0; i < 20; ++i) {
            auto r = co_await c.ask("GET", target);
            if (r.result_int() == 200u) ++answered;
        }
    };
    for (auto target : {"/health", "/api/v1/database/dashboard", "/health/detailed", "/api/metrics/database"})
        asio::co_spawn(outside, ask(target), asio::detached);
    outside.run();
    asio::post(serving, [&] { end.emit(asio::cancellation_type::terminal); });
    for (auto& each : threads) each.join();
    BOOST_TEST(answered == 80);
}

BOOST_AUTO_TEST_CASE(many_requests_use_one_connection_and_head_has_no_body)
{
    watched_service w;
    w.run([](http_client& c) -> asio::awaitable<void> {
        auto full = co_await c.ask("GET", "/openapi.json");
        auto head = co_await c.ask("HEAD", "/openapi.json");
        BOOST_TEST(head.result_int() == 200u);
        BOOST_TEST(head.body().empty());
        BOOST_TEST(head[http::field::content_length] == full[http::field::content_length]);
        co_await c.send("GET /openapi.json HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"
                        "GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        auto one = co_await c.receive();
        auto two = co_await c.receive();
        BOOST_TEST(one.body() == two.body());
        auto over = co_await c.at_end();
        BOOST_TEST(over);
    });
}

BOOST_AUTO_TEST_SUITE_END()
