#ifdef PGCORO_TEST_PROMETHEUS
#include <pgcoro/observe/prometheus.hpp>

#include <prometheus/text_serializer.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

using pgcoro::metrics;
using std::chrono::milliseconds;

namespace
{

// Some of everything.
void fill(metrics& m)
{
    pgcoro::query_event e;
    e.pool = "orders";
    e.sqlstate = "00000";
    e.rows = 2;
    for (int ms : {1, 20, 20, 700}) {
        e.sql = "select * from t where name = 'secret \"quoted\"\n line'";
        e.operation = ms == 20 ? "load" : "";
        e.duration = milliseconds(ms);
        e.server = milliseconds(ms);
        m.on_query(e);
    }
    e.sqlstate = "23505";
    m.on_query(e);
    m.on_acquire({"orders", milliseconds(3), true});
    m.on_acquire_failed({"orders", milliseconds(3), "timeout"});
    m.on_release({"orders", milliseconds(30), false});
    m.on_connect({"orders", "db", milliseconds(9), nullptr});
    m.on_disconnect({"orders", pgcoro::close_reason::idle, milliseconds(9)});
    m.on_transaction_begin({"orders", "pay"});
    pgcoro::transaction_event t;
    t.name = "pay";
    t.attempts = 2;
    t.deadlocks = 1;
    m.on_transaction(t);
    m.on_retry({"pay", 1, "40P01", "deadlock detected", milliseconds(1)});
    m.on_breaker({"db", "closed", "open"});
}

std::string exposition(const metrics& m)
{
    return prometheus::TextSerializer().Serialize(pgcoro::prometheus_collectable(m).Collect());
}

// Each sample line as "name{labels}" to its value.
std::map<std::string, double> parsed(const std::string& text)
{
    static const std::regex line(R"(([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?) (\S+))");
    std::map<std::string, double> values;
    std::istringstream in(text);
    for (std::string each; std::getline(in, each);) {
        if (each.empty() || each[0] == '#') continue;
        std::smatch parts;
        if (!std::regex_match(each, parts, line)) throw std::runtime_error("not a sample: " + each);
        if (!values.emplace(parts[1], std::strtod(parts[2].str().c_str(), nullptr)).second)
            throw std::runtime_error("told twice: " + each);
    }
    return values;
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe_prometheus)

BOOST_AUTO_TEST_CASE(every_line_is_a_sample_and_none_is_told_twice)
{
    metrics m;
    fill(m);
    auto values = parsed(exposition(m));
    BOOST_TEST(values.size() > 100u);
}

BOOST_AUTO_TEST_CASE(operations_and_the_rest_add_up_to_the_whole)
{
    metrics m;
    fill(m);
    auto values = parsed(exposition(m));
    auto of = [&](const std::string& what, const std::string& name) {
        return values.at(what + "{db_system_name=\"postgresql\",db_operation_name=\"" + name + "\"}");
    };
    BOOST_TEST(of("db_client_operation_duration_seconds_count", "load") == 2);
    BOOST_TEST(of("db_client_operation_duration_seconds_count", "") == 3);
    BOOST_TEST(of("db_client_operation_duration_seconds_sum", "load") == 0.04,
               boost::test_tools::tolerance(1e-6));
    BOOST_TEST(of("pgcoro_rows_total", "load") + of("pgcoro_rows_total", "") == 10);
}

BOOST_AUTO_TEST_CASE(buckets_grow_and_end_with_the_count)
{
    metrics m;
    fill(m);
    for (auto& f : pgcoro::prometheus_collectable(m).Collect()) {
        if (f.type != prometheus::MetricType::Histogram) continue;
        for (auto& each : f.metric) {
            auto& b = each.histogram.bucket;
            BOOST_TEST(std::is_sorted(b.begin(), b.end(), [](auto& x, auto& y) {
                return x.cumulative_count < y.cumulative_count;
            }));
            BOOST_TEST(b.back().cumulative_count == each.histogram.sample_count);
        }
    }
}

BOOST_AUTO_TEST_CASE(caches_and_clusters_are_told_with_each_host)
{
    pgcoro::metrics_snapshot s;
    pgcoro::cache_figures c;
    c.name = "accounts";
    c.hits = 3;
    c.misses = 1;
    s.caches.push_back(c);
    pgcoro::host_figures a;
    a.name = "a:5432";
    a.role = "primary";
    a.lag = 0;
    a.writes = 2;
    pgcoro::host_figures b;
    b.name = "b:5432";
    b.role = "replica";
    b.reads = 7;
    b.in_use = 1;
    b.unusable = "it follows another timeline";
    pgcoro::cluster_figures of;
    of.name = "shop";
    of.policy = "two_choices";
    of.hosts = {a, b};
    of.promotions = 1;
    of.token_waits = 4;
    s.clusters.push_back(of);
    auto v = parsed(prometheus::TextSerializer().Serialize(pgcoro::to_prometheus(s)));
    BOOST_TEST(v.at("pgcoro_cache_requests_total{name=\"accounts\",outcome=\"hit\"}") == 3);
    BOOST_TEST(v.at("pgcoro_cluster_promotions_total{cluster=\"shop\"}") == 1);
    BOOST_TEST(v.at("pgcoro_cluster_token_waits_total{cluster=\"shop\"}") == 4);
    std::string host = "{cluster=\"shop\",host=\"b:5432\"";
    BOOST_TEST(v.at("pgcoro_cluster_host_role" + host + ",role=\"replica\"}") == 1);
    BOOST_TEST(v.at("pgcoro_cluster_host_role" + host + ",role=\"primary\"}") == 0);
    BOOST_TEST(v.at("pgcoro_cluster_host_connections" + host + ",state=\"used\"}") == 1);
    BOOST_TEST(v.at("pgcoro_cluster_host_requests_total" + host + ",kind=\"read\",policy=\"two_choices\"}") ==
               7);
    BOOST_TEST(v.at("pgcoro_cluster_host_unusable" + host + "}") == 1);
    BOOST_TEST(v.at("pgcoro_cluster_host_unusable{cluster=\"shop\",host=\"a:5432\"}") == 0);
    BOOST_TEST(v.count("pgcoro_cluster_host_lag_seconds" + host + "}") == 0u); // not known
    BOOST_TEST(v.at("pgcoro_cluster_host_lag_seconds{cluster=\"shop\",host=\"a:5432\"}") == 0);
}

BOOST_AUTO_TEST_CASE(no_constant_is_told)
{
    metrics m;
    fill(m);
    BOOST_TEST(exposition(m).find("secret") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_long_text_is_cut_between_characters)
{
    metrics m;
    pgcoro::query_event e;
    e.sql = "select \"ä\" from t";
    m.on_query(e);
    auto families = pgcoro::to_prometheus(m.snapshot(), {.statement_text = 9});
    auto it = std::find_if(families.begin(), families.end(),
                           [](auto& f) { return f.name == "pgcoro_statement_duration_seconds"; });
    BOOST_REQUIRE(it != families.end());
    BOOST_TEST(it->metric.at(0).label.back().value == "select \"");
}

#ifdef PGCORO_TEST_PROMTOOL
BOOST_AUTO_TEST_CASE(promtool_has_nothing_to_complain_of)
{
    metrics m;
    fill(m);
    auto folder = std::filesystem::temp_directory_path();
    auto in = folder / ("pgcoro_metrics_" + std::to_string(::getpid()));
    auto out = in.string() + ".out";
    std::ofstream(in) << exposition(m);
    auto command =
        std::string(PGCORO_TEST_PROMTOOL) + " check metrics < " + in.string() + " > " + out + " 2>&1";
    auto status = std::system(command.c_str());
    std::ostringstream said;
    said << std::ifstream(out).rdbuf();
    std::filesystem::remove(in);
    std::filesystem::remove(out);
    BOOST_TEST(status == 0, said.str());
}
#endif

BOOST_AUTO_TEST_SUITE_END()
#endif
