#include "monitor/figures.hpp"

#include <pgcoro/cache/query_cache.hpp>

#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace pgcoro
{

// Described here for its JSON.
BOOST_DESCRIBE_STRUCT(cache_stats, (),
                      (entries, bytes, statements, hits, stale, misses, shared, bypassed, queries, refreshes,
                       evictions, refused, outdated, invalidations, ttl_frequent, ttl_slow, ttl_capped,
                       ttl_raised, following, notifications, gaps, second_hits, second_misses,
                       second_outdated, second_refused, second_kept))

} // namespace pgcoro

namespace pgcoro::detail
{

namespace json = boost::json;

namespace
{

constexpr std::size_t shown = 20; // statements on the page

// The page's histogram: 1, 2 and 5 of each power of ten, in microseconds.
constexpr std::array<std::int64_t, 16> latency_limits{
    100,    200,     500,     1'000,   2'000,     5'000,     10'000,    20'000,
    50'000, 100'000, 200'000, 500'000, 1'000'000, 2'000'000, 5'000'000, 10'000'000};

json::array latency_json(const histogram& h)
{
    json::array all;
    std::uint64_t below = 0;
    for (auto limit : latency_limits) {
        auto upto = h.count_upto(std::chrono::microseconds(limit));
        all.push_back(json::object{{"up_to", static_cast<double>(limit) / 1e6}, {"count", upto - below}});
        below = upto;
    }
    all.push_back(json::object{{"up_to", nullptr}, {"count", h.count() - below}});
    return all;
}

json::object sum_of_pools(const metrics_snapshot& m)
{
    std::uint64_t size = 0, in_use = 0, idle = 0, overflow = 0, waiting = 0, capacity = 0;
    for (auto& p : m.pools) {
        size += p.size;
        in_use += p.in_use;
        idle += p.idle;
        overflow += p.overflow;
        waiting += p.waiting;
        capacity += p.size + p.max_overflow;
    }
    auto use = capacity ? static_cast<double>(in_use) / static_cast<double>(capacity) : 0.0;
    return {{"size", size},       {"in_use", in_use},     {"idle", idle},      {"overflow", overflow},
            {"waiting", waiting}, {"capacity", capacity}, {"utilization", use}};
}

// The worst of all, for who looks at one word.
std::string_view worst_breaker(const metrics_snapshot& m)
{
    auto any = [&](std::string_view state) {
        return std::any_of(m.breakers.begin(), m.breakers.end(), [&](auto& b) { return b.state == state; });
    };
    if (m.breakers.empty()) return "none";
    for (auto state : {"open", "half_open"})
        if (any(state)) return state;
    return m.breakers.front().state;
}

json::object breakers_json(const metrics_snapshot& m)
{
    return {{"state", worst_breaker(m)}, {"breakers", json::value_from(m.breakers)}};
}

json::value server_json(const sampler* s)
{
    auto seen = s ? s->server() : nullptr;
    return seen ? json::value_from(*seen) : json::value();
}

std::uint64_t failed_by(const transaction_figures& t, const std::string& cause)
{
    auto it = t.failed_attempts.find(cause);
    return it == t.failed_attempts.end() ? 0 : it->second;
}

} // namespace

json::object database_metrics_json(const metrics_snapshot& m)
{
    auto& q = m.queries;
    return {
        {"total_operations", q.count},    {"error_count", q.errors},        {"error_rate", q.error_rate},
        {"avg_duration", q.duration.avg}, {"min_duration", q.duration.min}, {"max_duration", q.duration.max},
        {"p50_duration", q.duration.p50}, {"p95_duration", q.duration.p95}, {"p99_duration", q.duration.p99}};
}

json::object connections_json(const metrics_snapshot& m, const sampler* s)
{
    return {{"time", m.time},
            {"total", sum_of_pools(m)},
            {"pools", json::value_from(m.pools)},
            {"clusters", json::value_from(m.clusters)},
            {"server", server_json(s)}};
}

json::object cache_json(const query_cache* c)
{
    if (!c) return {{"enabled", false}};
    auto s = c->stats();
    auto answered = s.hits + s.stale + s.misses;
    auto o = json::value_from(s).as_object();
    o["enabled"] = true;
    o["hit_ratio"] = answered
                         ? json::value(static_cast<double>(s.hits + s.stale) / static_cast<double>(answered))
                         : json::value();
    return o;
}

json::object transactions_json(const metrics_snapshot& m)
{
    auto& t = m.transactions;
    auto ended = t.committed + t.rolled_back + t.unknown;
    auto rate =
        ended ? json::value(static_cast<double>(t.committed) / static_cast<double>(ended)) : json::value();
    return {{"total", json::value_from(t)},
            {"success_rate", rate},
            {"deadlocks", failed_by(t, "deadlock")},
            {"serialization_failures", failed_by(t, "serialization_failure")},
            {"by_name", json::value_from(m.transactions_by_name)},
            {"budgets", json::value_from(m.budgets)}};
}

json::object alerts_json(const alerts* a)
{
    if (!a) return {{"enabled", false}, {"active", json::array()}, {"all", json::array()}};
    return {
        {"enabled", true}, {"active", json::value_from(a->active())}, {"all", json::value_from(a->all())}};
}

json::object history_json(const history* h, const api_call& c, double now)
{
    auto to = c.to.value_or(now);
    auto from = c.from.value_or(std::max(0.0, to - 24 * 3'600));
    json::object trends;
    json::value samples = json::array();
    if (h) {
        samples = json::value_from(h->between(from, to, c.step));
        for (auto name : {"p95", "utilization", "buffer_hit_ratio", "error_rate"})
            trends[name] = json::value_from(h->trend_of(figure_named(name)));
    }
    return {{"enabled", h != nullptr}, {"from", from},       {"to", to},
            {"step", c.step},          {"samples", samples}, {"trends", trends}};
}

json::object health_json(const health_check* checked, const health_report& r)
{
    return {{"status", to_string(r.status)},
            {"score", r.score},
            {"healthy", checked ? checked->healthy : r.status != health_status::unhealthy},
            {"findings", json::value_from(r.findings)}};
}

json::object health_detailed_json(const metrics_snapshot& m, const health_check* checked,
                                  const std::vector<needed_table>& tables, const health_report& r)
{
    auto pools = sum_of_pools(m);
    json::object database{
        {"healthy", checked ? json::value(checked->healthy) : json::value()},
        {"response_time_ms", checked ? json::value(1'000 * checked->response_time) : json::value()},
        {"error", checked ? checked->error : ""},
        {"pool_size", pools["size"]},
        {"pool_checked_out", pools["in_use"]},
        {"overflow", pools["overflow"]},
        {"waiting", pools["waiting"]}};
    return {{"success", r.status != health_status::unhealthy},
            {"status", to_string(r.status)},
            {"score", r.score},
            {"checks", json::object{{"database", database}}},
            {"tables", json::value_from(tables)},
            {"breaker", breakers_json(m)},
            {"findings", json::value_from(r.findings)}};
}

json::object dashboard_json(const monitor_sources& of, const metrics_snapshot& m, const health_report& r)
{
    auto slowest = m.statements;
    std::sort(slowest.begin(), slowest.end(),
              [](auto& a, auto& b) { return a.duration.p95 > b.duration.p95; });
    if (slowest.size() > shown) slowest.resize(shown);
    return {{"time", m.time},
            {"uptime", m.uptime},
            {"health", health_json(nullptr, r)},
            {"queries", json::value_from(m.queries)},
            {"latency", latency_json(m.queries.duration.distribution)},
            {"operations", json::value_from(m.operations)},
            {"slowest_statements", json::value_from(slowest)},
            {"connections", connections_json(m, of.sampler)},
            {"transactions", transactions_json(m)},
            {"cache", cache_json(of.cache)},
            {"breaker", breakers_json(m)},
            {"clusters", json::value_from(m.clusters)},
            {"retries", json::value_from(m.retries)},
            {"alerts", alerts_json(of.alerts)}};
}

} // namespace pgcoro::detail
