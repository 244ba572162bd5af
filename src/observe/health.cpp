// How is it, in a word and a figure, and what is to be done?
#include <pgcoro/observe/health.hpp>

#include <algorithm>
#include <cstdio>

namespace pgcoro
{

namespace
{

// Three digits that matter.
std::string number(double value)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
}
std::string percent(double share) { return number(100 * share) + " %"; }

class judge
{
public:
    explicit judge(health_report& into)
        : into_(into)
    {}

    void find(alert_severity how_bad, std::string what, std::string evidence, std::string recommendation)
    {
        into_.findings.push_back({std::move(what), how_bad, std::move(evidence), std::move(recommendation)});
    }

    void look(const health_check& c)
    {
        if (c.healthy) return;
        find(alert_severity::critical, "the database does not answer", c.error,
             "look at the server and at the network between; the pool reconnects by itself once it is back");
    }

    void look(const metrics_snapshot& m)
    {
        for (auto& p : m.pools) {
            if (!p.watched) continue;
            if (p.waiting > 0 && p.in_use >= p.size + p.max_overflow)
                find(alert_severity::warning, "pool '" + p.name + "' is exhausted",
                     std::to_string(p.waiting) + " callers wait, and all " + std::to_string(p.in_use) +
                         " connections are in use; a lease is held for " + number(p.use_time.p95) +
                         " s (95th percentile)",
                     "shorten what is done under a lease; else raise size or max_overflow, if the server has "
                     "cores to spare");
            if (!p.last_connect_failure.empty())
                find(alert_severity::warning, "pool '" + p.name + "' cannot connect", p.last_connect_failure,
                     "look at the server's log and at its max_connections");
            if (p.leaks > 0)
                find(alert_severity::warning, "pool '" + p.name + "' has leases held too long",
                     std::to_string(p.leaks) + " were held for longer than leak_threshold",
                     "look at where they were acquired: the observer's leak event names the place");
        }
    }

    void look(const alerts& a)
    {
        for (auto& raised : a.active())
            find(raised.severity, raised.name,
                 "at " + number(raised.value) + ", threshold " + number(raised.threshold) + ", found " +
                     std::to_string(raised.count) + " times",
                 raised.meaning);
    }

    void look(const server_view& s)
    {
        auto use = static_cast<double>(s.connections) /
                   static_cast<double>(std::max<std::int64_t>(s.max_connections - s.reserved_connections, 1));
        if (use > 0.9)
            find(alert_severity::warning, "the server's connections are nearly used up",
                 std::to_string(s.connections) + " of " + std::to_string(s.max_connections) + " (" +
                     std::to_string(s.reserved_connections) + " of them reserved)",
                 "make pools smaller, or put a pooler between; more connections are seldom faster");
        constexpr std::int64_t worrying_age = 1'000'000'000; // of the 2^31 that there are
        if (s.xid_age > worrying_age)
            find(alert_severity::critical, "transaction ids are running out",
                 "the oldest is " + std::to_string(s.xid_age) + " old; the server stops near 2,147,483,648",
                 "end old transactions, prepared ones and replication slots, then VACUUM FREEZE");
        if (!s.idle_in_transaction.empty()) {
            auto& worst = s.idle_in_transaction.front();
            find(alert_severity::warning, "sessions idle in a transaction",
                 std::to_string(s.idle_in_transaction.size()) + ", the longest, process " +
                     std::to_string(worst.pid) + ", for " + number(worst.seconds) + " s",
                 "they hold locks and keep VACUUM from cleaning up: commit sooner, or set "
                 "idle_in_transaction_session_timeout");
        }
        if (!s.blocked.empty()) {
            auto& worst = s.blocked.front();
            find(alert_severity::warning, "sessions wait for locks",
                 std::to_string(s.blocked.size()) + "; process " + std::to_string(worst.pid) + " for " +
                     number(worst.seconds) + " s, behind process " +
                     (worst.blocked_by.empty() ? "?" : std::to_string(worst.blocked_by.front())),
                 "look at what the blocking process does; pg_terminate_backend ends it");
        }
        constexpr double poor_hits = 0.9;
        if (s.cache_hit_ratio && *s.cache_hit_ratio < poor_hits)
            find(alert_severity::info, "the server reads much from outside its buffers",
                 percent(*s.cache_hit_ratio) + " of block reads were hits",
                 "look at shared_buffers, and at sequential scans of large tables");
        for (auto& text : s.not_seen)
            find(alert_severity::info, "part of the server's state cannot be seen", text,
                 "grant pg_monitor to this role if it is wanted");
    }

private:
    health_report& into_;
};

int cost(alert_severity s)
{
    switch (s) {
    case alert_severity::critical:
        return 40;
    case alert_severity::warning:
        return 15;
    case alert_severity::info:
        break;
    }
    return 3;
}

} // namespace

std::string_view to_string(health_status s) noexcept { return boost::describe::enum_to_string(s, "unknown"); }

health_report assess(const health_inputs& in)
{
    health_report report;
    judge j(report);
    if (in.check) j.look(*in.check);
    if (in.metrics) j.look(*in.metrics);
    if (in.raised) j.look(*in.raised);
    if (in.server) j.look(*in.server);

    auto& found = report.findings;
    std::stable_sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.severity > b.severity; });
    bool down = in.check && !in.check->healthy;
    for (auto& f : found) report.score -= cost(f.severity);
    report.score = down ? 0 : std::max(report.score, 0);
    bool all_minor = found.empty() || found.front().severity == alert_severity::info;
    constexpr int poor = 50;
    report.status = down || report.score < poor ? health_status::unhealthy
                    : all_minor                 ? health_status::healthy
                                                : health_status::degraded;
    return report;
}

} // namespace pgcoro
