#include "cli/health_judge.hpp"

#include <algorithm>

namespace pgcoro::cli
{

namespace
{

constexpr limits connect_ms{1'000, 5'000};
constexpr limits round_trip_ms{100, 1'000};
constexpr limits lock_wait_s{1, 30};
constexpr limits transaction_s{300, 3'600};
constexpr limits connections_percent{80, 95};
constexpr limits xids{500'000'000, 1'000'000'000}; // the server stops near 2^31
constexpr limits replication_s{10, 60};
constexpr double good_hits_percent = 90;

check judged(std::string name, const limits& l, double value, std::string unit, std::string message,
             std::string advice, std::string command = {})
{
    check c{std::move(name), l.judge(value), std::move(message), value, l.warning, std::move(unit)};
    if (c.level > severity::info) {
        c.advice = std::move(advice);
        c.command = std::move(command);
    }
    return c;
}

check judge_locks(const server_view& v)
{
    auto n = v.blocked.size();
    auto message = n == 0 ? std::string("nobody waits for a lock")
                          : std::to_string(n) + (n == 1 ? " session waits" : " sessions wait") +
                                ", the longest for " + duration(v.longest_lock_wait);
    if (n != 0 && !v.blocked.front().blocked_by.empty())
        message += ", behind process " + std::to_string(v.blocked.front().blocked_by.front());
    return judged("locks", lock_wait_s, v.longest_lock_wait, "s", message,
                  "see who blocks whom; end the blocker if it is stuck (pg_terminate_backend)",
                  "pgcoro locks");
}

check judge_transactions(const server_view& v)
{
    const session_view* oldest = nullptr;
    for (auto* list : {&v.long_queries, &v.idle_in_transaction})
        for (auto& s : *list)
            if (!oldest || s.transaction_seconds > oldest->transaction_seconds) oldest = &s;
    if (!oldest) return {"long transactions", severity::ok, "none", 0, transaction_s.warning, "s"};
    auto pid = std::to_string(oldest->pid);
    return judged("long transactions", transaction_s, oldest->transaction_seconds, "s",
                  "the oldest is open for " + duration(oldest->transaction_seconds) + ": process " + pid +
                      " (" + oldest->state + "), user " + oldest->user + ", application '" +
                      oldest->application + "'",
                  "it holds locks and keeps VACUUM from cleaning up: commit sooner, or set "
                  "idle_in_transaction_session_timeout; to end it now:",
                  "psql -c 'select pg_terminate_backend(" + pid + ")'");
}

check judge_connections(const server_view& v)
{
    auto usable = std::max<std::int64_t>(v.max_connections - v.reserved_connections, 1);
    auto percent = 100.0 * static_cast<double>(v.connections) / static_cast<double>(usable);
    return judged("connections", connections_percent, percent, "%",
                  std::to_string(v.connections) + " of " + std::to_string(usable) + " in use (" +
                      fixed(percent, 0) + " %)",
                  "see who holds them; make pools smaller, or put a pooler between", "pgcoro doctor");
}

void judge_replication(const server_view& v, report& into)
{
    constexpr auto advice =
        "look at the standby's disk, at the network between, and at what its queries hold up";
    if (v.replay_lag)
        into.add(judged("replication", replication_s, *v.replay_lag, "s",
                        "a standby, " + duration(*v.replay_lag) + " behind its primary", advice));
    for (auto& r : v.replicas) {
        auto c = judged("replication", replication_s, r.lag_seconds, "s",
                        "standby '" + r.application + "' (" + r.state + ", " + r.sync_state + ") is " +
                            duration(r.lag_seconds) + " and " + grouped(r.lag_bytes) + " bytes behind",
                        advice);
        into.add(std::move(c));
    }
    if (!v.replay_lag && v.replicas.empty())
        into.add({"replication", v.in_recovery ? severity::unknown : severity::ok,
                  v.in_recovery ? "a standby that has replayed nothing yet" : "a primary without standbys"});
}

} // namespace

check judge_connect(double milliseconds)
{
    return judged("connect", connect_ms, milliseconds, "ms", fixed(milliseconds, 1) + " ms",
                  "name resolution, TLS, authentication or a busy server: tell which", "pgcoro doctor");
}

check judge_round_trips(const probes& p)
{
    if (p.answered == 0)
        return {"round trip", severity::critical, "none of " + std::to_string(p.made) + " was answered"};
    auto p95 = in_ms(p.times.quantile(0.95));
    return judged("round trip", round_trip_ms, p95, "ms",
                  "p50 " + fixed(in_ms(p.times.quantile(0.5)), 2) + " ms, p95 " + fixed(p95, 2) +
                      " ms, p99 " + fixed(in_ms(p.times.quantile(0.99)), 2) + " ms, of " +
                      std::to_string(p.answered),
                  "a far network, or a server without idle cores", "pgcoro doctor");
}

void judge_server(const server_view& v, report& into)
{
    into.add(judge_connections(v));
    into.add(judge_locks(v));
    into.add(judge_transactions(v));
    if (v.cache_hit_ratio) {
        auto percent = 100 * *v.cache_hit_ratio;
        check c{"cache hit ratio",
                percent < good_hits_percent ? severity::info : severity::ok,
                fixed(percent, 1) + " % of block reads came from the server's buffers",
                percent,
                good_hits_percent,
                "%"};
        if (c.level == severity::info)
            c.advice = "look at shared_buffers, and at sequential scans of large tables";
        into.add(std::move(c));
    }
    into.add(judged("transaction ids", xids, static_cast<double>(v.xid_age), "transactions",
                    "the oldest is " + grouped(v.xid_age) + " old, of 2,147,483,648",
                    "end old transactions, prepared ones and replication slots, then freeze",
                    "vacuumdb --all --freeze"));
    judge_replication(v, into);
    for (auto& text : v.not_seen) into.add({"not seen", severity::info, text});
}

void judge_settings(const std::map<std::string, std::string>& shown, report& into)
{
    auto is = [&](const char* name, const char* value) {
        auto found = shown.find(name);
        return found != shown.end() && found->second == value;
    };
    auto tell = [&](const char* name, severity level, const char* advice) {
        auto found = shown.find(name);
        if (found == shown.end()) return;
        check c{name, level, found->second.empty() ? "(empty)" : found->second};
        if (level > severity::ok) c.advice = advice;
        into.add(std::move(c));
    };
    auto unless = [&](const char* name, const char* good, severity otherwise) {
        return is(name, good) ? severity::ok : otherwise;
    };
    tell("fsync", unless("fsync", "on", severity::warning),
         "a crash of the machine can destroy the database");
    tell("full_page_writes", unless("full_page_writes", "on", severity::warning),
         "a crash of the machine can destroy pages");
    tell("synchronous_commit", is("synchronous_commit", "off") ? severity::info : severity::ok,
         "a crash of the server loses the last commits that it answered");
    tell("wal_level", is("wal_level", "minimal") ? severity::info : severity::ok,
         "neither standbys nor archives for recovery are possible");
    tell("max_connections", severity::ok, "");
    for (auto* name : {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"})
        tell(name, is(name, "0") ? severity::info : severity::ok,
             "the server sets no limit; one that clients forget to set is then missing");
}

} // namespace pgcoro::cli
