// Random programs through the library and, operation by operation, through plain libpq on a second database
// with the same contents: outcomes, transactions, sessions and tables must be the same.
#include "storm/trial.hpp"

#include "integration/pooler/bouncer.hpp"

#include <pgcoro/pgcoro.hpp>

#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace
{

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

struct settings
{
    std::size_t programs = 0;
    double seconds = 20;
    std::uint64_t seed = 0;
    int threads = 2;
    int ops = 40;
    int tries = 3;
    std::string pooler;
    bool tls = false;
    bool keep_going = false;
};

std::optional<int> parse(int argc, char** argv, settings& s)
{
    CLI::App app("Runs random programs through the library and through plain libpq, and compares them after "
                 "each operation. "
                 "A difference is shrunk to the smallest program that still shows it.\n"
                 "Exit code: 0 when there was no difference, 1 when there was one, 2 for wrong usage.",
                 "pgcoro_storm");
    s.seed = std::random_device{}();
    app.add_option("--programs", s.programs, "Ends after this many programs; 0, the default: no limit");
    app.add_option("--seconds", s.seconds, "Ends after this time; 20 by default, no limit with --programs");
    app.add_option("--seed", s.seed, "For the same programs; random by default, and printed");
    app.add_option("--threads", s.threads,
                   "Programs at the same time, each on databases of its own; 2 by default")
        ->check(CLI::Range(1, 64));
    app.add_option("--ops", s.ops, "Operations per program; 40 by default")->check(CLI::Range(1, 10'000));
    app.add_option("--tries", s.tries,
                   "How often each smaller program is run while one is shrunk; 3 by default")
        ->check(CLI::Range(1, 1000));
    app.add_option("--pooler", s.pooler, "Through PgBouncer in this mode")
        ->check(CLI::IsMember({"session", "transaction"}));
    app.add_flag("--tls", s.tls, "Encrypted");
    app.add_flag("--keep-going", s.keep_going, "Goes on after a difference");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : exit_usage;
    }
    if (s.programs > 0 && app.count("--seconds") == 0) s.seconds = 1e9;
    return std::nullopt;
}

void encrypt(pgcoro::testing::server& server)
{
    auto certificate = server.folder() / "made.crt";
    auto key = server.folder() / "made.key";
    auto command = "openssl req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=localhost -out '" +
                   certificate.string() + "' -keyout '" + key.string() + "' 2>/dev/null";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("no certificate: is openssl installed?");
    // The server must own its key, so that it copies the files itself.
    std::filesystem::permissions(key, std::filesystem::perms(0644));
    for (auto [from, to] : {std::pair(certificate, "server.crt"), std::pair(key, "server.key")})
        server.psql("copy (select 1) to program 'umask 077; cat " + from.string() + " > " +
                    (server.folder() / "data" / to).string() + "'");
    server.psql("alter system set ssl = on");
    server.restart();
}

class storm_run
{
public:
    explicit storm_run(const settings& s)
        : settings_(s)
        , end_(steady::now() + std::chrono::duration_cast<steady::duration>(
                                   std::chrono::duration<double>(std::min(s.seconds, 1e6))))
    {}

    int go()
    {
        std::cerr << "seed " << settings_.seed << "; starting a server" << std::endl;
        pgcoro::testing::server_options options;
        options.settings["max_connections"] = "200";
        pgcoro::testing::server server(options);
        if (settings_.tls) encrypt(server);
        server.psql("create role storm_user");
        std::optional<bouncer> pooler;
        if (!settings_.pooler.empty()) pooler.emplace(server, settings_.pooler, 12);
        end_ += steady::now() - begun_;
        std::vector<std::thread> threads;
        for (int i = 0; i < settings_.threads; ++i)
            threads.emplace_back([&, i] {
                try {
                    storm::databases on(server, i);
                    auto connection = connection_of(server, pooler ? &*pooler : nullptr, on.library());
                    while (auto number = next()) one(*number, on, connection);
                } catch (const std::exception& e) {
                    complain(std::string("thread ") + std::to_string(i) + ": " + e.what());
                }
            });
        for (auto& t : threads) t.join();
        std::cerr << done_ << " programs of " << settings_.ops << " operations, " << failed_
                  << " differences\n"
                  << "endings: " << storm::tally() << std::endl;
        return failed_ == 0 ? 0 : exit_failed;
    }

private:
    pgcoro::connection_options connection_of(const pgcoro::testing::server& server, const bouncer* pooler,
                                             const std::string& database) const
    {
        auto uri = settings_.tls ? server.tcp_uri(database) : server.uri(database);
        if (pooler) uri = pooler->uri().substr(0, pooler->uri().rfind('/') + 1) + database;
        auto connection = pgcoro::connection_options::from_uri(uri);
        if (settings_.tls) connection.parameters["sslmode"] = "require";
        if (settings_.pooler == "session") connection.pooler = pgcoro::pooler_mode::session;
        if (settings_.pooler == "transaction") connection.pooler = pgcoro::pooler_mode::transaction;
        return connection;
    }

    std::optional<std::size_t> next()
    {
        if (failed_ > 0 && !settings_.keep_going) return std::nullopt;
        if (steady::now() >= end_) return std::nullopt;
        auto number = begun_programs_++;
        if (settings_.programs > 0 && number >= settings_.programs) return std::nullopt;
        return number;
    }

    void one(std::size_t number, const storm::databases& on, const pgcoro::connection_options& connection)
    {
        storm::program_options options;
        options.ops = settings_.ops;
        options.session_effects = settings_.pooler != "transaction";
        auto seed = settings_.seed + number;
        auto p = storm::make_program(seed, options);
        auto found = storm::run(p, on, connection);
        ++done_;
        if (!found) return;
        ++failed_;
        std::string text = "program " + std::to_string(number + 1) + " (--seed " + std::to_string(seed) +
                           " --programs 1) differs at " + place(p, found->at) + ": " + found->what + "\n";
        {
            std::lock_guard lock(mutex_);
            std::cerr << text << "shrinking it" << std::endl;
        }
        if (found->at < p.size()) p.resize(found->at + 1);
        auto small = storm::shrink(p, found->what, on, connection, settings_.tries, 60s);
        std::optional<storm::difference> again;
        for (int i = 0; i < 10 * settings_.tries && !again; ++i) again = storm::run(small, on, connection);
        text = "the smallest program found, of " + std::to_string(small.size()) + " operations:\n";
        for (auto& o : small) text += "    " + o.describe() + "\n";
        text += again ? "  differs at " + place(small, again->at) + ": " + again->what
                      : std::string("  did not differ when run again: it depends on timing");
        complain_only(text);
    }

    static std::string place(const storm::program& p, std::size_t at)
    {
        return at < p.size() ? "#" + std::to_string(p[at].id) : "its end";
    }

    void complain_only(const std::string& text)
    {
        std::lock_guard lock(mutex_);
        std::cerr << text << std::endl;
    }
    void complain(const std::string& text)
    {
        ++failed_;
        complain_only(text);
    }

    const settings& settings_;
    steady::time_point begun_ = steady::now();
    steady::time_point end_;
    std::mutex mutex_;
    std::atomic<std::size_t> begun_programs_{0};
    std::atomic<std::size_t> done_{0};
    std::atomic<std::size_t> failed_{0};
};

} // namespace

int main(int argc, char** argv)
{
    settings s;
    if (auto code = parse(argc, argv, s)) return *code;
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return storm_run(s).go();
    } catch (const std::exception& e) {
        std::cerr << "pgcoro_storm, seed " << s.seed << ": " << e.what() << std::endl;
        return exit_failed;
    }
}
