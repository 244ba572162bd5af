// Finds the cause by connecting as asked and, when that fails, by what it is that does work.
#include "cli/doctor.hpp"

#include "cli/diagnosis.hpp"
#include "cli/probe.hpp"
#include "cli/target.hpp"

#include <pgcoro/error/error.hpp>

#include <optional>

namespace pgcoro::cli
{

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

namespace
{

constexpr int few_round_trips = 20;
constexpr double full_percent = 80;

class examination
{
public:
    examination(const settings& s, connection_options o, report& into)
        : settings_(s)
        , options_(std::move(o))
        , report_(into)
    {}

    asio::awaitable<void> all()
    {
        if (!co_await reach()) co_return;
        // A pooler that took the session's settings for an error was met on the way in.
        bool answered = true;
        std::string failure;
        try {
            answered = co_await within(4 * timeout_of(settings_.common), ask());
        } catch (const error& e) {
            failure = e.message();
        }
        if (answered && failure.empty()) co_return;
        report_.availability = 0;
        check c{"no-answer", severity::critical,
                failure.empty()
                    ? "it lets us in, but does not answer within " + duration(4 * settings_.common.timeout)
                    : "it lets us in, but then: " + first_line(failure)};
        c.advice = "the server hangs (a full disk, memory, a stopped process) or the network loses packets; "
                   "look there:";
        c.command =
            "journalctl -u postgresql --since -1h; df -h; free -m; ps -C postgres -o pid,stat,wchan,args";
        report_.add(std::move(c));
    }

private:
    asio::awaitable<bool> reach()
    {
        std::optional<connect_trouble> trouble;
        auto begun = clock::now();
        trouble = co_await try_connect(options_);
        if (trouble && is_refused_setting(*trouble)) {
            report_.add(pooler_refuses_settings(*trouble));
            options_.pooler = pooler_mode::session;
            begun = clock::now();
            trouble = co_await try_connect(options_);
        }
        if (trouble) {
            report_.availability = 0;
            co_await explain_refusal(settings_, options_, *trouble, report_);
            co_return false;
        }
        auto took = in_ms(clock::now() - begun);
        report_.more["connect_ms"] = took;
        report_.add({"connect", severity::ok,
                     "name resolved, reached and logged in, in " + fixed(took, 1) + " ms", took, std::nullopt,
                     "ms"});
        co_return true;
    }

    // Keeps the connection that it makes.
    asio::awaitable<std::optional<connect_trouble>> try_connect(const connection_options& o)
    {
        std::optional<connect_trouble> trouble;
        try {
            auto made = co_await connection::connect(o);
            connection_.emplace(std::move(made));
        } catch (const connection_error& e) {
            trouble = trouble_of(e);
        }
        co_return trouble;
    }

    asio::awaitable<void> ask()
    {
        co_await look_for_pooler();
        co_await look_for_read_only();
        co_await look_at_connections();
        co_await look_at_speed();
    }

    asio::awaitable<void> look_for_pooler()
    {
        auto pid = co_await connection_->query_value<int>("select pg_backend_pid()");
        if (pid == connection_->backend_pid()) co_return;
        report_.add({"pooler", severity::info,
                     "a pooler stands between: the process that answers is not the one that greeted us",
                     std::nullopt, std::nullopt, "",
                     "tell the layer its pool_mode (connection_options.pooler, POOL_POOLER), else prepared "
                     "statements "
                     "and settings get lost between sessions",
                     "export POOL_POOLER=transaction   # or session, as SHOW CONFIG on the pooler says"});
    }

    asio::awaitable<void> look_for_read_only()
    {
        using row = std::tuple<bool, bool, std::string, std::string, std::string>;
        auto got = co_await connection_->query_value<row>(
            "select pg_is_in_recovery(), setting::bool, source, quote_ident(current_database()), "
            "quote_ident(current_user) from pg_settings where name = 'default_transaction_read_only'");
        auto& [standby, read_only, source, database, user] = got;
        if (standby)
            report_.add({"read-only", severity::warning,
                         "this is a standby: it answers reads, and refuses every write", std::nullopt,
                         std::nullopt, "",
                         "connect to the primary: name all hosts, and ask for the one that takes writes",
                         "psql 'host=HOST1,HOST2 target_session_attrs=read-write'"});
        else if (read_only)
            report_.add({"read-only", severity::warning,
                         "default_transaction_read_only is on (set by: " + source + "): writes are refused",
                         std::nullopt, std::nullopt, "",
                         "somebody meant that (a migration, a full disk, a managed service out of space); if "
                         "it is over:",
                         read_only_remedy(source, database, user)});
    }

    asio::awaitable<void> look_at_connections()
    {
        using row = std::tuple<std::int64_t, std::int64_t>;
        auto got = co_await connection_->query_value<row>(
            "select (select coalesce(sum(numbackends), 0)::bigint from pg_stat_database), "
            "current_setting('max_connections')::bigint - "
            "current_setting('superuser_reserved_connections')::bigint");
        auto& [used, usable] = got;
        auto percent = 100.0 * static_cast<double>(used) / static_cast<double>(usable > 0 ? usable : 1);
        auto in_use = std::to_string(used) + " of " + std::to_string(usable) + " connections are in use";
        if (percent <= full_percent) {
            report_.add({"connections", severity::ok, in_use, percent, full_percent, "%"});
            co_return;
        }
        auto holders = co_await who_holds(*connection_);
        report_.add({"too-many-connections", used >= usable ? severity::critical : severity::warning,
                     in_use + (used >= usable ? ": others than superusers are refused" : ""), percent,
                     full_percent, "%", "held by:\n" + holders, holders_remedy});
    }

    asio::awaitable<void> look_at_speed()
    {
        circuit_breaker breaker;
        probes p;
        co_await round_trips(*connection_, few_round_trips, breaker, p);
        report_.circuit_breaker_state = to_string(breaker.status().state);
        report_.availability = static_cast<double>(p.answered) / static_cast<double>(p.made);
        auto p95 = in_ms(p.times.quantile(0.95));
        report_.query_performance_ms = p95;
        auto limit = settings_.doctor.slow_round_trip;
        auto figure = "a round trip takes " + fixed(p95, 2) + " ms (95th percentile of " +
                      std::to_string(p.answered) + ")";
        if (p95 <= limit) {
            report_.add({"round trip", severity::ok, figure, p95, limit, "ms"});
            co_return;
        }
        // Of such a statement the server needs next to nothing; what it needs for one that computes tells
        // whether it has a core to spare.
        auto server_ms = co_await connection_->query_value<double>(
            "select extract(epoch from clock_timestamp() - t)::float8 * 1000 from (select clock_timestamp() "
            "as t, "
            "(select sum(i) from generate_series(1, 20000) i) as work offset 0) w");
        constexpr double idle_core_ms = 25;
        bool network = server_ms < idle_core_ms;
        report_.add({"slow", severity::warning, figure, p95, limit, "ms",
                     network ? "the server itself is quick (" + fixed(server_ms, 1) +
                                   " ms for a small computation): the "
                                   "way to it is long. Run where it is near, or save round trips (pipelines, "
                                   "transactions as "
                                   "one list)"
                             : "the server is busy (" + fixed(server_ms, 1) +
                                   " ms for a small computation): see what runs",
                     network ? "mtr --report " + hosts_of(options_).front().host
                             : std::string("pgcoro monitor --show-queries")});
    }

    const settings& settings_;
    connection_options options_;
    report& report_;
    std::optional<connection> connection_;
};

} // namespace

asio::awaitable<report> doctor(const settings& s)
{
    report r;
    r.title = "pgcoro doctor";
    auto o = target_of(s.common, "doctor");
    std::string senseless;
    try {
        r.target = describe_target(o);
    } catch (const connection_error& e) {
        senseless = e.message();
    }
    if (!senseless.empty()) {
        r.target = "nowhere";
        r.add(wrong_option(senseless));
        co_return r;
    }
    examination e(s, o, r);
    co_await e.all();
    co_return r;
}

} // namespace pgcoro::cli
