#include "cli/health.hpp"

#include "cli/diagnosis.hpp"
#include "cli/health_judge.hpp"
#include "cli/target.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/observe/health.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <functional>
#include <optional>

namespace pgcoro::cli
{

namespace asio = boost::asio;
namespace json = boost::json;
using clock = std::chrono::steady_clock;

namespace
{

constexpr int usual_round_trips = 20;
constexpr int many_round_trips = 1'000;
constexpr int fresh_connects = 3;
constexpr std::size_t pool_size = 4;

// One look, part by part; what a part finds is in the report even when a later one hangs.
class look
{
public:
    look(const settings& s, connection_options o, report& into)
        : settings_(s)
        , options_(std::move(o))
        , limit_(timeout_of(s.common))
        , report_(into)
    {}

    asio::awaitable<void> all()
    {
        if (!co_await part("connect", connect())) co_return;
        bool answers = co_await part("server", who());
        if (answers) answers = co_await part("settings", server_settings());
        if (answers) answers = co_await part("round trip", measure());
        if (answers) answers = co_await part("server's view", see());
        if (answers && !settings_.health.tables.empty()) answers = co_await part("tables", needed_tables());
        if (answers) co_await part("pool", borrow());
        if (settings_.health.test_connectivity) co_await each_host();
        finish();
    }

private:
    // False when there is no point in asking more: no answer, or no connection.
    asio::awaitable<bool> part(const char* name, asio::awaitable<void> work)
    {
        std::string failure;
        std::string attempts;
        bool lost = false;
        try {
            if (!co_await within(2 * limit_, std::move(work))) {
                failure = "no answer within " + duration(2 * settings_.common.timeout);
                lost = true;
            }
        } catch (const connection_error& e) {
            failure = first_line(e.what());
            attempts = trouble_of(e).evidence;
            if (!attempts.empty()) attempts += "\n";
            lost = true;
        } catch (const error& e) {
            failure = e.message();
            lost = e.invalidates_connection();
        }
        if (failure.empty()) co_return true;
        check c{name, severity::critical, failure};
        c.advice = attempts + "find out why, and what mends it:";
        c.command = "pgcoro doctor";
        report_.add(std::move(c));
        if (lost) report_.availability = 0;
        co_return !lost;
    }

    asio::awaitable<void> connect()
    {
        auto begun = clock::now();
        auto made = co_await connection::connect(options_);
        connection_.emplace(std::move(made));
        auto took = in_ms(clock::now() - begun);
        report_.more["connect_ms"] = took;
        report_.add(judge_connect(took));
    }

    asio::awaitable<void> who()
    {
        using row = std::tuple<std::string, std::string, bool, bool>;
        auto got =
            co_await connection_->query_value<row>("select split_part(current_setting('server_version'), ' "
                                                   "', 1), current_user::text, pg_is_in_recovery(), "
                                                   "current_setting('is_superuser')::bool");
        auto& [version, role, standby, super] = got;
        report_.more["server_version"] = version;
        report_.more["role"] = standby ? "standby" : "primary";
        report_.add({"server", severity::ok,
                     "PostgreSQL " + version + ", a " + (standby ? "standby" : "primary") + "; we are role " +
                         role + (super ? ", a superuser" : "")});
    }

    asio::awaitable<void> server_settings()
    {
        using row = std::tuple<std::string, std::string>;
        auto rows = co_await connection_->query_as<row>(
            "select name, current_setting(name) from pg_settings where name in ('wal_level', "
            "'synchronous_commit', 'fsync', 'full_page_writes', 'statement_timeout', 'lock_timeout', "
            "'idle_in_transaction_session_timeout', 'max_connections')");
        std::map<std::string, std::string> shown;
        json::object o;
        for (auto& [name, value] : rows) {
            shown[name] = value;
            o[name] = value;
        }
        report_.more["settings"] = std::move(o);
        judge_settings(shown, report_);
    }

    asio::awaitable<void> measure()
    {
        auto count = settings_.health.test_performance ? many_round_trips : usual_round_trips;
        co_await round_trips(*connection_, count, breaker_, probes_);
        report_.add(judge_round_trips(probes_));
    }

    asio::awaitable<void> see()
    {
        inspect_options how;
        how.long_query = std::chrono::seconds(1);
        how.long_idle = std::chrono::seconds(1);
        auto v = co_await inspect(*connection_, how);
        judge_server(v, report_);
    }

    asio::awaitable<void> needed_tables()
    {
        for (auto& name : settings_.health.tables) {
            using row = std::tuple<bool, bool>;
            std::optional<row> found;
            check c{"table " + name, severity::critical, "it does not exist, or is not on the search_path"};
            try {
                auto got = co_await connection_->query_value<row>(
                    "select to_regclass($1) is not null, "
                    "coalesce(has_table_privilege(to_regclass($1), 'select'), false)",
                    name);
                found = got;
            } catch (const server_error& e) {
                c.message = e.message(); // not a name at all
            }
            if (found && std::get<0>(*found)) {
                bool readable = std::get<1>(*found);
                c.level = readable ? severity::ok : severity::warning;
                c.message = readable ? "there" : "there, but this role may not read it";
                if (!readable)
                    c.command =
                        "psql -c 'grant select on " + name + " to " + effective(options_, "user") + "'";
            }
            if (c.level == severity::critical)
                c.advice = "run the migrations, or name its schema: schema.table";
            report_.add(std::move(c));
        }
    }

    // Four connections at once, each asked for an answer.
    asio::awaitable<void> borrow()
    {
        pool_options o;
        o.connection = options_;
        o.size = pool_size;
        o.max_overflow = 0;
        o.name = "pgcoro health";
        pool p(co_await asio::this_coro::executor, o);
        auto begun = clock::now();
        co_await p.warm_up();
        auto took = in_ms(clock::now() - begun);
        auto found = co_await check_health(p, limit_);
        check c{"pool",
                found.healthy ? severity::ok : severity::critical,
                found.healthy
                    ? std::to_string(pool_size) + " connections in " + fixed(took, 1) +
                          " ms, acquired and answered in " + fixed(found.response_time * 1'000, 2) + " ms"
                    : found.error,
                took,
                std::nullopt,
                "ms"};
        report_.more["pool_check_ms"] = found.response_time * 1'000;
        report_.add(std::move(c));
        co_await p.close();
    }

    // Each of several hosts is asked, also those that would not be reached because an earlier one answers.
    asio::awaitable<void> each_host()
    {
        for (auto& h : hosts_of(options_)) {
            histogram times;
            std::string failure;
            auto one = only(options_, h);
            one.parameters["target_session_attrs"] = "any";
            for (int i = 0; i < fresh_connects && failure.empty(); ++i) {
                auto begun = clock::now();
                ++probes_.made;
                try {
                    auto c = co_await connection::connect(one);
                    times.record(clock::now() - begun);
                    ++probes_.answered;
                } catch (const connection_error& e) {
                    failure = trouble_of(e).evidence;
                }
            }
            auto name = "host " + (h.host.empty() ? std::string("(socket)") : h.host) + ":" +
                        (h.port.empty() ? std::string("5432") : h.port);
            auto slowest = in_ms(times.max());
            if (failure.empty())
                report_.add(
                    {name, severity::ok,
                     std::to_string(fresh_connects) + " connects, the slowest " + fixed(slowest, 1) + " ms",
                     slowest, std::nullopt, "ms"});
            else
                report_.add({name, severity::critical, first_line(failure)});
        }
    }

    void finish()
    {
        report_.circuit_breaker_state = to_string(breaker_.status().state);
        if (probes_.made > 0)
            report_.availability = static_cast<double>(probes_.answered) / static_cast<double>(probes_.made);
        if (probes_.times.count() == 0) return;
        json::object o;
        o["p50"] = in_ms(probes_.times.quantile(0.5));
        o["p95"] = in_ms(probes_.times.quantile(0.95));
        o["p99"] = in_ms(probes_.times.quantile(0.99));
        report_.query_performance_ms = in_ms(probes_.times.quantile(0.95));
        report_.more["round_trip_ms"] = std::move(o);
    }

    const settings& settings_;
    connection_options options_;
    std::chrono::milliseconds limit_;
    report& report_;
    std::optional<connection> connection_;
    circuit_breaker breaker_;
    probes probes_;
};

} // namespace

asio::awaitable<report> health(const settings& s)
{
    report r;
    r.title = "pgcoro health";
    auto o = target_of(s.common, "health");
    r.target = describe_target(o);
    look l(s, o, r);
    co_await l.all();
    co_return r;
}

} // namespace pgcoro::cli
