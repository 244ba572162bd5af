// What happened between two snapshots.
#include <pgcoro/observe/history.hpp>

#include "observe/seconds.hpp"

#include <algorithm>
#include <cmath>

namespace pgcoro
{

namespace
{

const double unknown = std::nan("");

using detail::seconds;

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

template <class N>
double grown(N before, N now)
{
    return now > before ? static_cast<double>(now - before) : 0;
}

std::uint64_t at(const std::map<std::string, std::uint64_t>& of, const std::string& key)
{
    auto it = of.find(key);
    return it == of.end() ? 0 : it->second;
}

// Statements that failed because no server was there to run them.
std::uint64_t unserved(const query_figures& q)
{
    return at(q.errors_by_class, "connection_lost") + at(q.errors_by_class, "server_unavailable");
}

struct pools_sum
{
    std::uint64_t in_use = 0;
    std::uint64_t idle = 0;
    std::uint64_t overflow = 0;
    std::uint64_t waiting = 0;
    std::uint64_t capacity = 0;
    std::uint64_t acquired = 0;
    std::uint64_t timeouts = 0;
    std::uint64_t refused = 0; // whoever cancelled, or came to a closed pool, left out
    histogram wait;
    histogram use;

    explicit pools_sum(const metrics_snapshot* s)
    {
        if (!s) return;
        for (auto& p : s->pools) {
            in_use += p.in_use;
            idle += p.idle;
            overflow += p.overflow;
            waiting += p.waiting;
            capacity += p.size + p.max_overflow;
            acquired += p.acquired;
            timeouts += p.timeouts;
            for (auto& [why, n] : p.refused)
                if (why != "cancelled" && why != "closed") refused += n;
            wait.merge(p.wait_time.distribution);
            use.merge(p.use_time.distribution);
        }
    }
};

void add_queries(sample& s, const query_figures& before, const query_figures& now)
{
    auto times = now.duration.distribution.since(before.duration.distribution);
    s.queries = grown(before.count, now.count);
    s.query_rate = share(s.queries, s.length);
    s.errors = grown(before.errors, now.errors);
    s.error_rate = share(s.errors, s.queries);
    s.slow_rate = share(grown(before.slow, now.slow), s.queries);
    bool any = times.count() > 0;
    s.avg = any ? seconds(times.mean()) : unknown;
    s.p50 = any ? seconds(times.quantile(0.5)) : unknown;
    s.p95 = any ? seconds(times.quantile(0.95)) : unknown;
    s.p99 = any ? seconds(times.quantile(0.99)) : unknown;
    s.max = any ? seconds(times.max()) : unknown;
}

// Of all caches together; unknown where nothing was asked of any.
void add_caches(sample& s, const metrics_snapshot& before, const metrics_snapshot& now)
{
    std::uint64_t answered_before = 0, missed_before = 0, answered = 0, missed = 0;
    for (auto& c : before.caches) {
        answered_before += c.hits + c.stale;
        missed_before += c.misses;
    }
    for (auto& c : now.caches) {
        answered += c.hits + c.stale;
        missed += c.misses;
    }
    auto hits = grown(answered_before, answered);
    auto asked = hits + grown(missed_before, missed);
    s.cache_hit_ratio = asked > 0 ? hits / asked : unknown;
}

void add_server(sample& s, const server_view* server)
{
    s.buffer_hit_ratio = s.longest_lock_wait = s.server_connection_use = unknown;
    if (!server) return;
    s.buffer_hit_ratio = server->cache_hit_ratio.value_or(unknown);
    s.longest_lock_wait = server->longest_lock_wait;
    if (server->max_connections > 0)
        s.server_connection_use =
            static_cast<double>(server->connections) / static_cast<double>(server->max_connections);
}

} // namespace

sample make_sample(const metrics_snapshot* before, const metrics_snapshot& now, const server_view* server)
{
    static const metrics_snapshot beginning;
    auto& from = before ? *before : beginning;
    sample s;
    s.time = now.time;
    s.length = now.uptime - from.uptime;
    add_queries(s, from.queries, now.queries);

    pools_sum was(before);
    pools_sum is(&now);
    s.connections_in_use = static_cast<double>(is.in_use);
    s.connections_idle = static_cast<double>(is.idle);
    s.connections_overflow = static_cast<double>(is.overflow);
    s.connections_waiting = static_cast<double>(is.waiting);
    s.utilization = is.capacity > 0 ? share(s.connections_in_use, static_cast<double>(is.capacity)) : unknown;
    s.acquires = grown(was.acquired, is.acquired);
    s.acquire_timeouts = grown(was.timeouts, is.timeouts);
    auto waits = is.wait.since(was.wait);
    auto uses = is.use.since(was.use);
    s.acquire_wait_p95 = waits.count() > 0 ? seconds(waits.quantile(0.95)) : unknown;
    s.connection_use_avg = uses.count() > 0 ? seconds(uses.mean()) : unknown;

    auto& t = now.transactions;
    auto& u = from.transactions;
    s.transactions_active = static_cast<double>(t.active);
    s.committed = grown(u.committed, t.committed);
    s.rolled_back = grown(u.rolled_back, t.rolled_back);
    s.retries = grown(u.retries, t.retries);
    s.deadlocks = grown(at(u.failed_attempts, "deadlock"), at(t.failed_attempts, "deadlock"));

    auto refused = grown(was.refused, is.refused);
    auto failed = refused + grown(unserved(from.queries), unserved(now.queries));
    auto tried = s.acquires + refused + s.queries;
    s.availability = tried > 0 ? 1 - failed / tried : unknown;
    s.breakers_open = static_cast<double>(
        std::count_if(now.breakers.begin(), now.breakers.end(), [](auto& b) { return b.state == "open"; }));
    for (auto& c : now.clusters)
        s.replicas_unusable += static_cast<double>(
            std::count_if(c.hosts.begin(), c.hosts.end(), [](auto& h) { return !h.unusable.empty(); }));
    add_caches(s, from, now);
    add_server(s, server);
    return s;
}

} // namespace pgcoro
