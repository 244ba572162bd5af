#include "report.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <unistd.h>

namespace transfers
{

namespace asio = boost::asio;
namespace json = boost::json;

namespace
{

// 1234567 as "1,234,567".
std::string grouped(std::uint64_t n)
{
    auto digits = std::to_string(n);
    for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
        digits.insert(static_cast<std::size_t>(at), 1, ',');
    return digits;
}

std::string money(std::int64_t cents)
{
    auto amount = static_cast<std::uint64_t>(std::abs(cents));
    auto rest = std::to_string(amount % 100);
    return (cents < 0 ? "-" : "") + grouped(amount / 100) + (rest.size() < 2 ? ".0" : ".") + rest;
}

std::string fixed(double value, int digits)
{
    std::ostringstream text;
    text << std::fixed << std::setprecision(digits) << value;
    return text.str();
}

// The nearest-rank percentile of sorted values, in milliseconds.
double percentile(const std::vector<std::chrono::microseconds>& sorted, double percent)
{
    if (sorted.empty()) return 0;
    auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
    return std::chrono::duration<double, std::milli>(sorted[std::max<std::size_t>(rank, 1) - 1]).count();
}

std::string live_line(double at, double per_second, const journal& told, const pgcoro::pool_stats& pool,
                      const chaos* c)
{
    auto& m = told.metrics;
    std::ostringstream line;
    line << std::setw(5) << fixed(at, 1) << " s " << std::setw(6)
         << grouped(static_cast<std::uint64_t>(per_second)) << " transfers/s | retried: " << m.deadlocks
         << " deadlock, " << m.serialization_failures << " serialization, " << m.connections_lost
         << " lost | pool: " << pool.in_use << " in use, " << pool.idle << " idle, " << pool.waiting
         << " waiting";
    if (c) line << " | killed " << c->backends_killed();
    return line.str();
}

} // namespace

asio::awaitable<void> show_live(const callers& all, const pgcoro::pool& pool, const chaos* c)
{
    struct line_end // the cursor stays behind the live line; what comes next begins a new one
    {
        bool terminal;
        ~line_end()
        {
            if (terminal) std::cerr << "\r\x1b[K" << std::flush;
        }
    } at_end{isatty(STDERR_FILENO) != 0};

    using clock = std::chrono::steady_clock;
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    auto begun = clock::now();
    auto last = begun;
    std::uint64_t done_before = 0;
    for (auto next = begun + std::chrono::seconds(1);; next += std::chrono::seconds(1)) {
        timer.expires_at(next);
        co_await timer.async_wait(asio::use_awaitable);
        auto now = clock::now();
        auto done = all.told().count(fate::done);
        auto passed = std::chrono::duration<double>(now - last).count();
        auto line = live_line(std::chrono::duration<double>(now - begun).count(),
                              static_cast<double>(done - done_before) / passed, all.told(), pool.stats(), c);
        // Cut off at the terminal's edge, because a line that wraps cannot be written over.
        std::cerr << (at_end.terminal ? "\r\x1b[?7l" + line + "\x1b[K\x1b[?7h" : line + "\n") << std::flush;
        last = now;
        done_before = done;
    }
}

summary summarize(const settings& s, const callers& all, const pgcoro::pool& pool, const chaos* c,
                  const audit& books)
{
    auto& told = all.told();
    auto times = told.times;
    std::sort(times.begin(), times.end());
    summary made;
    made.settings = s;
    made.seconds = all.ran().count();
    for (auto& own : told.fates()) made.asked += own.size();
    made.done = told.count(fate::done);
    made.failed = told.count(fate::failed);
    made.unknown = told.count(fate::unknown);
    made.metrics = told.metrics;
    made.p50_ms = percentile(times, 50);
    made.p95_ms = percentile(times, 95);
    made.p99_ms = percentile(times, 99);
    if (c) {
        made.backends_killed = c->backends_killed();
        made.restarts = c->restarts();
    }
    made.connects = pool.stats().connects;
    made.errors = told.errors;
    made.books = books;
    return made;
}

void print_table(std::ostream& out, const summary& s)
{
    auto row = [&](const char* name, const std::string& value) {
        out << "  " << std::left << std::setw(26) << name << value << '\n';
    };
    auto verdict = [&](const char* name, bool right, const std::string& value) {
        row(name, (right ? "ok      " : "FAILED  ") + value);
    };
    auto& m = s.metrics;
    auto& b = s.books;
    out << (s.interrupted ? "Interrupted after " : "In ") << fixed(s.seconds, 1) << " s, "
        << s.settings.callers << " callers on a pool of " << s.settings.pool_size << " + "
        << s.settings.max_overflow << ":\n";
    row("transfers asked for", grouped(s.asked));
    row("transfers done",
        grouped(s.done) + " (" +
            grouped(s.seconds > 0 ? static_cast<std::uint64_t>(static_cast<double>(s.done) / s.seconds) : 0) +
            "/s)");
    row("failed", grouped(s.failed));
    row("commit unknown",
        grouped(s.unknown) + (s.unknown ? ", of which " + grouped(b.unknown_happened) + " took place" : ""));
    row("time of a transfer", "p50 " + fixed(s.p50_ms, 1) + " ms, p95 " + fixed(s.p95_ms, 1) + " ms, p99 " +
                                  fixed(s.p99_ms, 1) + " ms, retries included");
    out << "What was survived:\n";
    row("backends killed", grouped(s.backends_killed));
    row("server restarts", grouped(s.restarts));
    row("deadlocks", grouped(m.deadlocks));
    row("serialization failures", grouped(m.serialization_failures));
    row("connections lost",
        grouped(m.connections_lost) + " in a transfer; " + grouped(s.connects) + " opened");
    row("other failures", grouped(m.other_failures));
    row("retries", grouped(m.retries));
    row("commits resolved", grouped(m.commits_resolved));
    out << "Check:\n";
    verdict("money", b.money_kept(), money(b.cents_before) + " before, " + money(b.cents_after) + " after");
    verdict("ledger and balances", b.ledger_agrees(),
            grouped(b.ledger_rows) + " entries, " + grouped(b.accounts_off) + " accounts off");
    verdict("every transfer once", b.exactly_once(),
            grouped(b.lost) + " lost, " + grouped(b.doubled) + " doubled, " + grouped(b.unasked) +
                " not to have taken place");
    verdict("none failed", s.failed == 0, grouped(s.failed) + " failed");
    if (!s.errors.empty()) out << "Errors that reached a caller, the first of them:\n";
    for (auto& e : s.errors) out << "  " << e << '\n';
    out << std::flush;
}

void print_json(std::ostream& out, const summary& s)
{
    auto& m = s.metrics;
    auto& b = s.books;
    json::object all{
        {"passed", s.passed()},
        {"interrupted", s.interrupted},
        {"settings",
         {{"duration_s", s.settings.duration.count()},
          {"callers", s.settings.callers},
          {"pool_size", s.settings.pool_size},
          {"max_overflow", s.settings.max_overflow},
          {"own_server", !s.settings.url.empty()}}},
        {"seconds", s.seconds},
        {"transfers",
         {{"asked", s.asked}, {"done", s.done}, {"failed", s.failed}, {"commit_unknown", s.unknown}}},
        {"latency_ms", {{"p50", s.p50_ms}, {"p95", s.p95_ms}, {"p99", s.p99_ms}}},
        {"chaos", {{"backends_killed", s.backends_killed}, {"restarts", s.restarts}}},
        {"transactions",
         {{"attempts", m.attempts},
          {"deadlocks", m.deadlocks},
          {"serialization_failures", m.serialization_failures},
          {"connections_lost", m.connections_lost},
          {"other_failures", m.other_failures},
          {"retries", m.retries},
          {"commits_resolved", m.commits_resolved}}},
        {"connects", s.connects},
        {"check",
         {{"money_kept", b.money_kept()},
          {"cents_before", b.cents_before},
          {"cents_after", b.cents_after},
          {"ledger_agrees", b.ledger_agrees()},
          {"ledger_rows", b.ledger_rows},
          {"accounts_off", b.accounts_off},
          {"exactly_once", b.exactly_once()},
          {"lost", b.lost},
          {"doubled", b.doubled},
          {"unasked", b.unasked},
          {"unknown_happened", b.unknown_happened}}},
    };
    auto& errors = all["errors"].emplace_array();
    for (auto& e : s.errors) errors.emplace_back(e);
    out << json::serialize(all) << std::endl;
}

} // namespace transfers
