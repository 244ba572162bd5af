#include <pgcoro/observe/advice.hpp>

#include "connection/conninfo.hpp"

#include <pgcoro/error/error.hpp>

#include <algorithm>
#include <cmath>

namespace pgcoro
{

namespace
{

std::string in_ms(std::chrono::milliseconds time)
{
    return time == std::chrono::milliseconds::max() ? "without limit" : std::to_string(time.count()) + " ms";
}

// Returns the limit in force; that of the options if the parameters are wrong, which connecting will report.
std::chrono::milliseconds connect_timeout_of(const connection_options& options)
{
    try {
        return detail::connect_timeout_of(options);
    } catch (const connection_error&) {
        return options.connect_timeout;
    }
}

} // namespace

std::optional<pool_size_advice> advise_pool_size(const pool_figures& before, const pool_figures& now,
                                                 double seconds)
{
    constexpr std::uint64_t enough = 100;
    auto uses = now.use_time.distribution.since(before.use_time.distribution);
    if (!(seconds > 0) || uses.count() < enough) return std::nullopt;
    pool_size_advice a;
    a.arrivals = static_cast<double>(now.acquired - before.acquired) / seconds;
    a.use_time = std::chrono::duration<double>(uses.mean()).count();
    a.busy = a.arrivals * a.use_time;
    a.recommended = static_cast<std::uint64_t>(std::max(1.0, std::ceil(a.busy + 2 * std::sqrt(a.busy))));
    a.size = now.size;
    return a;
}

std::vector<finding> advise_timeouts(const pool_options& o)
{
    std::vector<finding> found;
    auto& c = o.connection;
    auto add = [&](const char* what, const char* a, std::chrono::milliseconds x, const char* b,
                   std::chrono::milliseconds y, const char* advice) {
        found.push_back({what, alert_severity::warning,
                         std::string(a) + " " + in_ms(x) + ", " + b + " " + in_ms(y), advice});
    };
    auto set = [](std::chrono::milliseconds time) { return time.count() > 0; };
    auto connect_timeout = connect_timeout_of(c);
    if (o.acquire_timeout < connect_timeout)
        add("callers give up before a connect may fail", "acquire_timeout", o.acquire_timeout,
            "connect_timeout", connect_timeout,
            "make connect_timeout the shorter one, so that callers get the cause instead of a timeout");
    if (set(c.statement_timeout) && set(c.lock_timeout) && c.lock_timeout >= c.statement_timeout)
        add("lock_timeout never takes effect", "lock_timeout", c.lock_timeout, "statement_timeout",
            c.statement_timeout,
            "make lock_timeout the shorter one, so that waits for locks are told as such");
    if (set(o.leak_threshold) && set(c.idle_in_transaction_session_timeout) &&
        o.leak_threshold > c.idle_in_transaction_session_timeout)
        add("the server ends an idle transaction before its lease is reported", "leak_threshold",
            o.leak_threshold, "idle_in_transaction_session_timeout", c.idle_in_transaction_session_timeout,
            "make leak_threshold the shorter one, to be told where the lease was acquired");
    if (set(o.idle_timeout) && set(o.recycle_after) && o.idle_timeout > o.recycle_after)
        add("idle_timeout never takes effect", "idle_timeout", o.idle_timeout, "recycle_after",
            o.recycle_after, "make idle_timeout the shorter one, or switch it off with 0");
    if (o.pre_ping == pre_ping::when_idle && o.alive_bypass > o.ping_after)
        add("idle connections are never looked at without a round trip", "alive_bypass", o.alive_bypass,
            "ping_after", o.ping_after, "make alive_bypass the shorter one");
    if (o.ping_timeout >= o.acquire_timeout)
        add("one dead connection takes up all of a caller's time", "ping_timeout", o.ping_timeout,
            "acquire_timeout", o.acquire_timeout,
            "make ping_timeout much the shorter one, so that the next connection can be tried");
    return found;
}

std::vector<finding> advise_loops(const metrics_snapshot& s, std::uint64_t least)
{
    std::vector<finding> found;
    for (auto& q : s.statements) {
        if (q.longest_loop < least) continue;
        found.push_back({"a statement is run in a loop", alert_severity::info,
                         "up to " + std::to_string(q.longest_loop) + " times in a row on one lease, " +
                             std::to_string(q.repeated) + " of " + std::to_string(q.count) +
                             " times behind itself: " + (q.text.empty() ? q.name : q.text),
                         "insert_many(), a pipeline, or one statement with = any($1) takes one round trip "
                         "instead of many"});
    }
    return found;
}

} // namespace pgcoro
