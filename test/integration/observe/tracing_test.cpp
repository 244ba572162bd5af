// Spans of a real pool on a real server.
#include "integration/connection/support.hpp"
#include "integration/pool/support.hpp"

#include <pgcoro/observe/observe.hpp>
#include <pgcoro/pgcoro.hpp>

#include <algorithm>

using namespace pgcoro;

namespace
{

struct traced_pool
{
    explicit traced_pool(bool comments = false)
        : pool_(io.get_executor(), options(comments))
    {}
    pool_options options(bool comments)
    {
        auto o = options_of(2);
        o.name = "traced";
        o.observer = &log;
        o.connection.traceparent_comments = comments;
        return o;
    }
    template <class Body>
    void run(Body body)
    {
        run_on(io, [&]() -> asio::awaitable<void> { co_await body(pool_); });
    }

    span_log log;
    trace_context root = trace_context::make();
    asio::io_context io;
    pool pool_;
};

std::vector<std::string> names(const std::vector<span_record>& all)
{
    std::vector<std::string> out;
    for (auto& s : all) out.push_back(s.name);
    return out;
}

std::string attribute(const span_record& s, const std::string& key)
{
    auto it = s.attributes.find(key);
    return it == s.attributes.end() ? std::string() : it->second;
}

using texts = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(tracing)

BOOST_AUTO_TEST_CASE(a_traced_statement_and_the_wait_for_its_connection_are_children_of_the_callers_span)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        co_await p.query("select 'before'");
        co_await p.named("load").traced(w.root).query("select oid from pg_class where relname = $1",
                                                      "secret");
        co_await p.query("select 'after'");
    });
    auto all = w.log.all();
    BOOST_TEST(names(all) == (texts{"acquire", "SELECT pg_class"}), boost::test_tools::per_element());
    for (auto& s : all) {
        BOOST_TEST(s.trace_id == w.root.trace_id_text());
        BOOST_TEST(s.parent_id == w.root.span_id_text());
        BOOST_TEST(s.span_id != s.parent_id);
        BOOST_TEST(!s.failed);
        BOOST_TEST(attribute(s, "db.system.name") == "postgresql");
        BOOST_TEST(attribute(s, "db.client.connection.pool.name") == "traced");
        for (auto& [key, value] : s.attributes) BOOST_TEST(value.find("secret") == value.npos, key);
    }
    auto& s = all.back();
    auto o = w.pool_.options().connection;
    BOOST_TEST(attribute(s, "pgcoro.operation") == "load");
    BOOST_TEST(attribute(s, "db.operation.name") == "SELECT");
    BOOST_TEST(attribute(s, "db.response.returned_rows") == "0");
    BOOST_TEST(attribute(s, "db.namespace") != "");
    BOOST_TEST(attribute(s, "server.address") == attribute(all.front(), "server.address"));
    BOOST_TEST(attribute(s, "server.address") != "");
    BOOST_TEST(attribute(s, "server.port") != "");
    BOOST_TEST(attribute(s, "db.query.text") == "");
}

BOOST_AUTO_TEST_CASE(a_lease_is_traced_until_it_ends)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        {
            auto conn = co_await p.traced(w.root).acquire();
            co_await conn->execute("create temporary table traced_rows (n int)");
            std::vector<int> two(2);
            co_await conn->copy_in("traced_rows", two);
            auto rows = conn->stream<int>("select n from traced_rows");
            while (co_await rows.next()) {
            }
            conn->trace({});
            co_await conn->query("select 'not traced any more'");
            conn->trace(w.root);
        }
        auto next = co_await p.acquire();
        co_await next->query("select 'somebody else'");
    });
    texts wanted{"acquire", "CREATE traced_rows", "COPY traced_rows", "SELECT traced_rows"};
    auto all = w.log.all();
    texts got;
    for (auto& n : names(all))
        if (n.find("pg_") == n.npos) got.push_back(n); // copy_in asks the catalog
    BOOST_TEST(got == wanted, boost::test_tools::per_element());
    BOOST_TEST(attribute(all.back(), "db.response.returned_rows") == "2");
}

BOOST_AUTO_TEST_CASE(a_context_that_is_not_sampled_makes_no_spans)
{
    traced_pool w;
    w.root.flags = 0;
    w.run([&](pool& p) -> asio::awaitable<void> { co_await p.traced(w.root).query("select 1"); });
    BOOST_TEST(w.log.all().empty());
}

BOOST_AUTO_TEST_CASE(what_fails_has_its_sqlstate)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        co_await failure_of<server_error>(p.traced(w.root).query("select 1/0"));
        auto conn = co_await p.traced(w.root).acquire();
        co_await failure_of<server_error>(conn->execute_script("select 1; selec 2"));
    });
    auto all = w.log.all();
    BOOST_REQUIRE(all.size() == 4u);
    BOOST_TEST(all[1].failed);
    BOOST_TEST(attribute(all[1], "db.response.status_code") == "22012");
    BOOST_TEST(attribute(all[1], "error.type") == "22012");
    BOOST_TEST(attribute(all[3], "error.type") == "42601");
}

BOOST_AUTO_TEST_CASE(a_pipeline_is_one_span)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto conn = co_await p.traced(w.root).acquire();
        auto together = conn->pipeline();
        auto one = together.query_value<int>("select 1");
        auto two = together.query_value<int>("select 2");
        co_await together.run();
        BOOST_TEST(one.get() + two.get() == 3);
    });
    BOOST_TEST(names(w.log.all()) == (texts{"acquire", "pipeline"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_cancelled_says_so)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        beside sleeper(w.io.get_executor(), [&]() -> asio::awaitable<void> {
            co_await p.traced(w.root).execute("select pg_sleep(60)");
        });
        co_await until([&] { return w.log.all().size() == 1; }); // it has its connection
        co_await sleeper.end();
    });
    auto all = w.log.all();
    BOOST_REQUIRE(all.size() == 2u);
    BOOST_TEST(attribute(all[1], "error.type") == "cancelled");
    BOOST_TEST(attribute(all[1], "db.operation.name") == "SELECT");
}

BOOST_AUTO_TEST_CASE(each_attempt_of_a_transaction_is_a_span_and_the_parent_of_its_statements)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("select 1 from pg_class limit 1");
            if (tx.attempt() < 3) co_await tx.execute("do $$ begin raise sqlstate '40001'; end $$");
        };
        transaction_options options;
        options.name = "transfer";
        options.trace = w.root;
        co_await transactional(p, body, options);
    });
    auto all = w.log.of(w.root);
    texts once{"acquire", "SELECT pg_class", "DO", "attempt"};
    texts wanted = once;
    wanted.insert(wanted.end(), once.begin(), once.end());
    for (auto last : {"acquire", "SELECT pg_class", "COMMIT", "attempt", "transaction transfer"})
        wanted.push_back(last);
    BOOST_TEST(names(all) == wanted, boost::test_tools::per_element());

    auto& whole = all.back();
    BOOST_TEST(whole.parent_id == w.root.span_id_text());
    BOOST_TEST(!whole.failed);
    BOOST_TEST(attribute(whole, "pgcoro.attempts") == "3");
    texts children;
    int attempt = 0;
    for (auto& s : all) {
        if (s.name != "attempt") {
            children.push_back(s.parent_id);
            continue;
        }
        BOOST_TEST(s.parent_id == whole.span_id);
        BOOST_TEST(attribute(s, "pgcoro.attempt") == std::to_string(++attempt));
        BOOST_TEST(attribute(s, "error.type") == (attempt < 3 ? "40001" : ""));
        for (auto& parent : children) BOOST_TEST(parent == s.span_id);
        children.clear();
    }
}

BOOST_AUTO_TEST_CASE(a_transaction_that_fails_or_is_cancelled_says_with_what)
{
    traced_pool w;
    transaction_options options;
    options.trace = w.root;
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto fails = [](transaction& tx) -> asio::awaitable<void> { co_await tx.execute("select 1/0"); };
        co_await failure_of<server_error>(transactional(p, fails, options));
    });
    BOOST_TEST(attribute(w.log.all().back(), "error.type") == "22012");
    w.log.clear();
    w.run([&](pool& p) -> asio::awaitable<void> {
        beside one(w.io.get_executor(), [&]() -> asio::awaitable<void> {
            auto sleeps = [](transaction& tx) -> asio::awaitable<void> {
                co_await tx.execute("select pg_sleep(60)");
            };
            co_await transactional(p, sleeps, options);
        });
        co_await until([&] { return w.log.all().size() == 1; }); // it has its connection
        co_await one.end();
    });
    auto all = w.log.all();
    BOOST_TEST(names(all) == (texts{"acquire", "SELECT", "attempt", "transaction"}),
               boost::test_tools::per_element());
    for (std::size_t i = 1; i < all.size(); ++i) BOOST_TEST(attribute(all[i], "error.type") == "cancelled");
}

BOOST_AUTO_TEST_CASE(who_waits_in_vain_for_a_connection_has_a_span_of_it)
{
    traced_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto first = co_await p.acquire();
        auto second = co_await p.acquire();
        co_await failure_of<pool_timeout>(p.traced(w.root).acquire(1ms));
    });
    auto all = w.log.all();
    BOOST_TEST(names(all) == texts{"acquire"}, boost::test_tools::per_element());
    BOOST_TEST(attribute(all.at(0), "error.type") == "pool_timeout");
}

BOOST_AUTO_TEST_CASE(connecting_is_a_span_of_the_options_context)
{
    span_log log;
    auto options = shared_options();
    options.observer = &log;
    options.trace = trace_context::make();
    with_connection(options, [](connection& c) -> asio::awaitable<void> { co_await check_usable(c); });
    options.parameters["dbname"] = "none_of_that_name";
    connect_failure(options);
    auto all = log.all();
    BOOST_TEST(names(all) == (texts{"connect", "connect"}), boost::test_tools::per_element());
    BOOST_TEST(all[0].parent_id == options.trace.span_id_text());
    BOOST_TEST(attribute(all[1], "error.type") == "3D000");
    BOOST_TEST(attribute(all[1], "db.namespace") == "none_of_that_name");
}

BOOST_AUTO_TEST_CASE(a_traceparent_goes_with_the_text_on_request_and_is_never_prepared_or_counted)
{
    traced_pool w(true);
    constexpr auto self = "select query from pg_stat_activity where pid = pg_backend_pid() -- mine";
    constexpr auto prepared =
        "select count(*)::int from pg_prepared_statements where statement like 'select query%mine%'";
    metrics seen({.next = &w.log});
    auto options = w.options(true);
    options.size = 1;
    options.observer = &seen;
    pool p(w.io.get_executor(), options);
    w.run([&](pool&) -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            auto text = co_await p.traced(w.root).query_value<std::string>(self);
            BOOST_TEST(text == std::string(self) + "\n/*traceparent='00-" + w.root.trace_id_text() + "-" +
                                   w.log.all().back().span_id + "-01'*/");
        }
        auto none = co_await p.query_value<int>(prepared);
        BOOST_TEST(none == 0);
        auto plain = co_await p.query_value<std::string>(self);
        BOOST_TEST(plain == self);
        auto one = co_await p.query_value<int>(prepared);
        BOOST_TEST(one == 1);
    });
    auto s = seen.snapshot();
    auto mine = std::count_if(s.statements.begin(), s.statements.end(),
                              [](auto& q) { return q.text.find("pg_backend_pid") != q.text.npos; });
    BOOST_TEST(mine == 1);
    for (auto& q : s.statements) BOOST_TEST(q.text.find("traceparent") == q.text.npos);
}

BOOST_AUTO_TEST_CASE(a_traceparent_travels_in_a_transaction_and_a_stream_too)
{
    traced_pool w(true);
    constexpr auto self = "select current_query()";
    texts got;
    w.run([&](pool& p) -> asio::awaitable<void> {
        transaction_options options;
        options.trace = w.root;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            auto first = co_await tx.query_value<std::string>(self);
            auto rows = tx.stream<std::string>(self);
            auto second = co_await rows.next();
            got = {first, second.value()};
            while (co_await rows.next()) {
            }
        };
        co_await transactional(p, body, options);
    });
    BOOST_REQUIRE(got.size() == 2u);
    std::string head = std::string(self) + " /*traceparent='00-" + w.root.trace_id_text() + "-";
    for (auto& text : got) BOOST_TEST(text.starts_with(head), text);
    BOOST_TEST(got[0] != got[1]); // each its own span
}

BOOST_AUTO_TEST_SUITE_END()
