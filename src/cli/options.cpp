// The options, each with an example.
#include "cli/command.hpp"

#include <pgcoro/connection/options.hpp>
#include <pgcoro/version.hpp>

#include <CLI/CLI.hpp>

#include <stdexcept>

namespace pgcoro::cli
{

namespace
{

std::string not_a_url(const std::string& url)
{
    try {
        connection_options::from_uri(url);
        return {};
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
}

void add_url(CLI::App& c, const std::string& name, std::string& to, const std::string& meaning)
{
    c.add_option(name, to, meaning)->check(CLI::Validator(not_a_url, "URL"))->option_text("URL");
}

void add_common(CLI::App& c, common_settings& s)
{
    add_url(c, "--url", s.url,
            "The server; else DATABASE_URL, else PGHOST, PGPORT and libpq's other variables. Passwords are "
            "better "
            "kept in ~/.pgpass. Example: --url postgresql://app@db.example.com/app");
    c.add_option("--timeout", s.timeout,
                 "Seconds to connect in; what is asked then has some times as many. Unless given, connect_timeout of the "
                 "URL or PGCONNECT_TIMEOUT. Example: --timeout 2")
        ->check(CLI::Range(0.1, 3'600.0))
        ->option_text("SECONDS [5]");
    c.add_option("--format", s.format, "table or json. Example: --format json")
        ->check(CLI::IsMember({"table", "json"}))
        ->option_text("FORMAT [table]");
    c.add_option("--color", s.color,
                 "auto (on a terminal, unless NO_COLOR is set), always or never. Example: --color never")
        ->check(CLI::IsMember({"auto", "always", "never"}))
        ->option_text("WHEN [auto]");
}

void add_health(CLI::App& app, settings& s)
{
    auto& c =
        *app.add_subcommand("health", "Is the server well? Checks, with what to do about those that fail");
    c.add_flag("--test-connectivity", s.health.test_connectivity,
               "Connects to each of several hosts, three times. Example: --test-connectivity");
    c.add_flag("--test-performance", s.health.test_performance,
               "Measures 1,000 round trips instead of 20. Example: --test-performance");
    c.add_option("--tables", s.health.tables,
                 "Tables that must exist. Example: --tables account,public.ledger")
        ->delimiter(',')
        ->option_text("NAMES");
    add_common(c, s.common);
}

void add_monitor(CLI::App& app, settings& s)
{
    auto& c = *app.add_subcommand(
        "monitor",
        "Watches a server: a live screen on a terminal, else a line or a JSON object each interval");
    c.add_option("--interval", s.monitor.interval,
                 "Seconds between two looks; on a terminal 2 unless given. Example: --interval 10")
        ->check(CLI::Range(0.1, 86'400.0))
        ->option_text("SECONDS [30]");
    c.add_option("--duration", s.monitor.duration,
                 "Seconds after which it ends; 0: when interrupted. Example: --duration 60")
        ->check(CLI::Range(0.0, 1e9))
        ->option_text("SECONDS [0]");
    c.add_option("--alert-threshold-lock-wait", s.monitor.lock_wait,
                 "Alert when a session waits longer for a lock. Example: --alert-threshold-lock-wait 500")
        ->check(CLI::Range(0.0, 1e9))
        ->option_text("MILLISECONDS [500]");
    c.add_option("--alert-threshold-query", s.monitor.query,
                 "Alert when a statement runs longer. Example: --alert-threshold-query 500")
        ->check(CLI::Range(0.0, 1e9))
        ->option_text("MILLISECONDS [500]");
    c.add_option("--alert-threshold-connections", s.monitor.connections,
                 "Alert when more of max_connections is in use. Example: --alert-threshold-connections 80")
        ->check(CLI::Range(0.0, 100.0))
        ->option_text("PERCENT [80]");
    c.add_flag("--show-queries", s.monitor.show_queries,
               "With the text of statements, values in it included. Example: --show-queries");
    add_common(c, s.common);
}

void add_doctor(CLI::App& app, settings& s)
{
    auto& c = *app.add_subcommand("doctor", "Finds out why it does not work, and what mends it");
    add_url(c, "--admin-url", s.doctor.admin_url,
            "A role that still gets in, to see who holds all connections. Example: --admin-url "
            "postgresql://postgres@db.example.com/postgres");
    c.add_option("--slow-round-trip", s.doctor.slow_round_trip,
                 "What is slow: a 95th percentile above this. Example: --slow-round-trip 20")
        ->check(CLI::Range(0.0, 1e6))
        ->option_text("MILLISECONDS [50]");
    add_common(c, s.common);
}

void add_bench(CLI::App& app, settings& s)
{
    auto& c = *app.add_subcommand(
        "bench", "Point selects, then transactions, in a schema of its own that is dropped at the end");
    c.add_option("--clients", s.bench.clients, "How many at a time, a connection each. Example: --clients 16")
        ->check(CLI::Range(1, 1'000))
        ->option_text("N [8]");
    c.add_option("--duration", s.bench.duration, "Seconds for each of the two. Example: --duration 10")
        ->check(CLI::Range(0.1, 3'600.0))
        ->option_text("SECONDS [5]");
    c.add_option("--rows", s.bench.rows, "Rows of the table. Example: --rows 100000")
        ->check(CLI::Range(1, 10'000'000))
        ->option_text("N [10000]");
    c.add_flag("--read-only", s.bench.read_only,
               "Makes no table and no transaction: `select $1` only. Example: --read-only");
    add_common(c, s.common);
}

void add_locks(CLI::App& app, settings& s)
{
    auto& c = *app.add_subcommand("locks", "The tree of who waits for whom");
    c.add_option("--critical", s.locks.critical,
                 "Exit code 2 when one waits longer; 1 when any waits. Example: --critical 30")
        ->check(CLI::Range(0.0, 1e9))
        ->option_text("SECONDS [60]");
    c.add_flag("--show-queries", s.locks.show_queries,
               "With the text of statements, values in it included. Example: --show-queries");
    add_common(c, s.common);
}

} // namespace

std::unique_ptr<CLI::App> make_app(settings& into)
{
    auto app = std::make_unique<CLI::App>(
        "For the one who is called at night: how is this PostgreSQL server?", "pgcoro");
    app->set_version_flag("--version", "pgcoro " PGCORO_VERSION_STRING,
                          "The version. Example: pgcoro --version");
    app->set_help_flag("-h,--help", "This, or of a command. Example: pgcoro health --help");
    app->require_subcommand(1);
    app->get_formatter()->column_width(46);
    add_health(*app, into);
    add_monitor(*app, into);
    add_doctor(*app, into);
    add_bench(*app, into);
    add_locks(*app, into);
    app->footer("Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown, 64 wrong usage.\n"
                "`pgcoro COMMAND --help` has the options of a command; `man pgcoro` all of them.");
    return app;
}

} // namespace pgcoro::cli
