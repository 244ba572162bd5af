// A bank whose server is being mistreated: does any money get lost?
#include "bank.hpp"
#include "callers.hpp"
#include "chaos.hpp"
#include "report.hpp"
#include "settings.hpp"

#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>

#include <CLI/CLI.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <utility>

namespace
{

namespace asio = boost::asio;
using namespace transfers;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

// Gives the exit code if there is nothing to be run: --help, or a mistake, which is told.
std::optional<int> parse(int argc, char** argv, settings& s)
{
    CLI::App app(
        "Moves money between random accounts, in many coroutines on few connections, while it kills the "
        "server's backends at random and restarts the server once. Then checks that no money was lost, "
        "and that every transfer took place exactly once.\n"
        "Exit code: 0 when all of that held, 1 when not, 2 for wrong usage.",
        "transfers");
    int seconds = static_cast<int>(s.duration.count());
    std::string format = "table";
    app.option_defaults()->always_capture_default();
    app.add_option("--duration", seconds, "Seconds to run for")->check(CLI::Range(1, 86'400));
    app.add_option("--callers", s.callers, "Coroutines that ask for transfers")
        ->check(CLI::Range(1, 100'000));
    app.add_option("--pool-size", s.pool_size, "Connections that stay open")->check(CLI::Range(1, 10'000));
    app.add_option("--max-overflow", s.max_overflow, "Connections more while callers wait")
        ->check(CLI::Range(0, 10'000));
    app.option_defaults()->always_capture_default(false);
    auto is_uri = [](const std::string& uri) -> std::string {
        try {
            pgcoro::connection_options::from_uri(uri);
            return {};
        } catch (const std::invalid_argument& e) {
            return e.what();
        }
    };
    app.add_option(
           "--url", s.url,
           "A server of your own, as postgresql://user@host/database: nothing is killed there, and the "
           "tables are made in a schema of their own, which is dropped at the end. Without it a private "
           "server is started")
        ->check(CLI::Validator(is_uri, "URI"));
    app.add_option("--format", format, "How the result is written: table or json")
        ->check(CLI::IsMember({"table", "json"}));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : exit_usage;
    }
    s.duration = std::chrono::seconds(seconds);
    s.json = format == "json";
    return std::nullopt;
}

pgcoro::testing::server private_server(const settings& s)
{
    std::cerr << "starting a private PostgreSQL" << std::endl;
    pgcoro::testing::server_options options;
    auto connections = std::max(120, s.pool_size + s.max_overflow + 20);
    options.settings["max_connections"] = std::to_string(connections);
    return pgcoro::testing::server(std::move(options));
}

// A first Ctrl-C ends it early; a second one ends it like any other program.
class interruption
{
public:
    interruption(asio::io_context& io, callers& all)
        : signals_(io, SIGINT, SIGTERM)
    {
        signals_.async_wait([this, &all](boost::system::error_code ec, int) {
            if (ec) return;
            happened_ = true;
            all.stop();
            signals_.clear();
            std::cerr << "\ninterrupted: waiting for the transfers under way (once more: stop at once)"
                      << std::endl;
        });
    }
    bool happened() const { return happened_; }

private:
    asio::signal_set signals_;
    bool happened_ = false;
};

// From the first transfer to the check.
asio::awaitable<summary> business(const settings& s, bank& b, callers& all, pgcoro::pool& pool,
                                  pgcoro::testing::server* server)
{
    using namespace asio::experimental::awaitable_operators;
    std::optional<chaos> harm;
    if (server) harm.emplace(*server, pool.options().name, s.duration);
    auto* c = harm ? &*harm : nullptr;
    auto work = all.run(s.duration);
    auto live = show_live(all, pool, c);
    auto both = std::move(work) || std::move(live); // the live line ends with the work
    co_await std::move(both);
    if (harm) harm->stop();
    auto books = co_await b.check(all.told());
    co_return summarize(s, all, pool, c, books);
}

asio::awaitable<void> run(const settings& s, pgcoro::pool& pool, pgcoro::testing::server* server,
                          asio::io_context& io, summary& result)
{
    co_await pool.verify(); // a wrong password, or no such database, is told at once
    bank b(pool);
    callers all(b, s.callers);
    interruption interrupted(io, all);
    std::cerr << "filling " << bank::hot_accounts + bank::cold_accounts << " accounts" << std::endl;
    std::exception_ptr failure;
    try {
        co_await b.open();
        result = co_await business(s, b, all, pool, server);
        result.interrupted = interrupted.happened();
    } catch (...) {
        failure = std::current_exception();
    }
    try {
        co_await b.close();
    } catch (const std::exception& e) {
        std::cerr << "transfers: the schema " << b.schema() << " could not be dropped: " << e.what()
                  << std::endl;
    }
    co_await pool.close();
    if (failure) std::rethrow_exception(failure);
}

int run(const settings& s)
{
    std::optional<pgcoro::testing::server> server;
    if (s.url.empty()) server.emplace(private_server(s));

    asio::io_context io(1);
    pgcoro::pool_options options;
    options.connection = pgcoro::connection_options::from_uri(server ? server->uri() : s.url);
    options.name = "transfers";
    options.size = static_cast<std::size_t>(s.pool_size);
    options.max_overflow = static_cast<std::size_t>(s.max_overflow);
    options.acquire_timeout = std::chrono::minutes(1); // to queue for long is what is asked for here
    pgcoro::pool pool(io.get_executor(), std::move(options));

    summary result;
    std::exception_ptr failure;
    asio::co_spawn(io, run(s, pool, server ? &*server : nullptr, io, result), [&](std::exception_ptr e) {
        failure = std::move(e);
        io.stop();
    });
    io.run();
    if (failure) std::rethrow_exception(failure);
    if (s.json)
        print_json(std::cout, result);
    else
        print_table(std::cout, result);
    return result.passed() ? 0 : exit_failed;
}

} // namespace

int main(int argc, char** argv)
{
    settings s;
    if (auto code = parse(argc, argv, s)) return *code;
    try {
        return run(s);
    } catch (const std::exception& e) {
        std::cerr << "transfers: " << e.what() << std::endl;
        return exit_failed;
    }
}
