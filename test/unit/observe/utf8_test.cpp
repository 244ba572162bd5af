// Names and texts that are not UTF-8.
#include "observe/utf8.hpp"

#include <pgcoro/observe/observe.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>
#ifdef PGCORO_TEST_PROMETHEUS
#include <pgcoro/observe/prometheus.hpp>

#include <prometheus/text_serializer.h>
#endif

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/test/unit_test.hpp>

#include <limits>
#include <string>

using pgcoro::detail::is_valid_utf8;
using pgcoro::detail::to_utf8;

namespace
{

// Bytes that begin or continue nothing, overlong forms, a surrogate, and the beginnings of characters.
const std::string hostile = "a\xFF\x80\xC0\xAF\xE2\x82 \xED\xA0\x80\xF4\x90\x80\x80\xF0\x9F\x98z\xE2\x82";

} // namespace

BOOST_AUTO_TEST_SUITE(utf8)

BOOST_AUTO_TEST_CASE(valid_text_stays_and_invalid_is_replaced)
{
    for (std::string text : {"", "plain", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xEF\xBF\xBF",
                             "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF\xEE\x80\x80"}) {
        BOOST_TEST(is_valid_utf8(text));
        BOOST_TEST(to_utf8(text) == text);
    }
    BOOST_TEST(!is_valid_utf8(hostile));
    BOOST_TEST(is_valid_utf8(to_utf8(hostile)));
    BOOST_TEST(to_utf8("a\xE2\x82z") == "a\xEF\xBF\xBDz"); // one for the beginning of a character
    BOOST_TEST(to_utf8("\xC0\xAF") == "\xEF\xBF\xBD\xEF\xBF\xBD");
}

BOOST_AUTO_TEST_CASE(every_pair_of_bytes_becomes_valid)
{
    for (int a = 0; a < 256; ++a)
        for (int b = 0; b < 256; ++b) {
            std::string text{static_cast<char>(a), static_cast<char>(b)};
            if (!is_valid_utf8(to_utf8(text))) BOOST_ERROR(a << " " << b);
        }
}

BOOST_AUTO_TEST_CASE(hostile_names_leave_json_and_scrape_valid)
{
    pgcoro::metrics metrics;
    pgcoro::span_log spans({.query_text = true});
    const std::string sql = "select \"" + hostile + "\" from \"" + hostile + "\" where a = '" + hostile + "'";
    for (auto name : {hostile, to_utf8(hostile), std::string("other"), std::string("fine")}) {
        pgcoro::query_event q;
        q.sql = sql;
        q.operation = name;
        q.sqlstate = "\xFF"
                     "2P01";
        metrics.on_query(q);
        pgcoro::transaction_event t;
        t.name = name;
        metrics.on_transaction(t);
        pgcoro::connect_event c;
        c.pool = name;
        metrics.on_connect(c);
        pgcoro::acquire_failed_event f;
        f.pool = f.why = name;
        metrics.on_acquire_failed(f);
        pgcoro::breaker_event b;
        b.name = name;
        b.to = "open";
        metrics.on_breaker(b);
        pgcoro::span_event s;
        s.begin.of = pgcoro::span_of::statement;
        s.begin.parent = pgcoro::trace_context::make();
        s.begin.own = s.begin.parent.child();
        s.sql = sql;
        s.operation = s.pool = s.host = s.database = name;
        s.error_type = s.sqlstate = "\xFF";
        spans.on_span(s);
        s.begin.of = pgcoro::span_of::transaction;
        spans.on_span(s);
    }
    auto snapshot = metrics.snapshot();
    // Two names that are exported as one are one: a scrape with the same labels twice is refused.
    BOOST_TEST(snapshot.operations.size() == 3u);
    BOOST_TEST(snapshot.transactions_by_name.size() == 3u);
    BOOST_TEST(snapshot.pools.size() == 3u);
    BOOST_TEST(snapshot.breakers.size() == 3u);
    auto written = boost::json::serialize(boost::json::value_from(snapshot)) +
                   boost::json::serialize(boost::json::value_from(spans.all()));
    BOOST_TEST(is_valid_utf8(written));
    boost::system::error_code failed;
    boost::json::parse(boost::json::serialize(boost::json::value_from(snapshot)), failed);
    BOOST_TEST(!failed);
#ifdef PGCORO_TEST_PROMETHEUS
    auto scraped =
        prometheus::TextSerializer().Serialize(pgcoro::to_prometheus(snapshot, {.statement_text = 100}));
    BOOST_TEST(is_valid_utf8(scraped));
#endif
}

BOOST_AUTO_TEST_CASE(hostile_server_views_and_alerts_become_valid)
{
    pgcoro::server_view v;
    v.database = hostile;
    v.sessions_by_state[hostile] = 1;
    v.long_queries.push_back({.user = hostile, .query = hostile});
    v.blocked.push_back({.lock = hostile});
    v.replicas.push_back({.application = hostile});
    v.top_statements.push_back({.query = hostile});
    v.not_seen.push_back(hostile);
    pgcoro::detail::make_valid_utf8(v);
    BOOST_TEST(is_valid_utf8(boost::json::serialize(boost::json::value_from(v))));
    BOOST_TEST(v.sessions_by_state.at(to_utf8(hostile)) == 1);

    pgcoro::alert_options o;
    o.rules.front().name = o.rules.front().meaning = hostile;
    o.rules.front().raise_after = 1;
    pgcoro::alerts alerts(o);
    pgcoro::sample s;
    s.time = 1;
    s.utilization = 1;
    alerts.evaluate(s);
    BOOST_TEST(!alerts.all().empty());
    BOOST_TEST(is_valid_utf8(boost::json::serialize(boost::json::value_from(alerts.all()))));
}

BOOST_AUTO_TEST_CASE(figures_that_are_not_finite_are_null)
{
    pgcoro::anomaly a{.figure = "p95",
                      .value = std::numeric_limits<double>::quiet_NaN(),
                      .median = 1,
                      .score = std::numeric_limits<double>::infinity()};
    BOOST_TEST(boost::json::serialize(boost::json::value_from(a)) ==
               R"({"figure":"p95","value":null,"median":1E0,"score":null,"compared":0})");
}

BOOST_AUTO_TEST_SUITE_END()
