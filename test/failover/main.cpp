// The layer on PostgreSQL under real Patroni, which is made to change its leader in every way there is: what
// must hold in the end, and how long the layer takes from there being a leader until all is well again.
#include "patroni.hpp"
#include "trial.hpp"

#include "chaos/report.hpp"
#include "chaos/waiting.hpp"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <random>

namespace
{

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;
constexpr int exit_not_possible = 77; // as ctest and automake have it

// Gives the exit code if there is nothing to be run: --help, or a mistake, which is told.
std::optional<int> parse(int argc, char** argv, failover::settings& s)
{
    CLI::App app(
        "Takes the leader away from Patroni with three nodes under load, one way after the other, in "
        "a random order. Then checks that no money was lost and every transfer took place exactly once.\n"
        "Needs Patroni and etcd. Exit code: 0 when all of that held, 1 when not, 2 for wrong usage, "
        "77 when something is not installed.",
        "pgcoro_failover");
    double minutes = 3;
    std::string known;
    std::vector<std::string> names;
    for (auto& kind : failover::all_faults()) {
        names.emplace_back(kind.name);
        known += "\n  " + std::string(kind.name) + std::string(20 - kind.name.size(), ' ') +
                 std::string(kind.what);
    }
    app.footer("Faults:" + known);
    s.seed = std::random_device{}();
    app.add_option("--minutes", minutes, "How long; 3 by default")->check(CLI::Range(0.01, 100'000.0));
    app.add_option("--faults", s.faults, "Ends after so many faults, however long that takes");
    app.add_option("--seed", s.seed, "For the same faults in the same order; random by default, and told");
    app.add_option("--kinds", s.kinds, "None but these faults")->delimiter(',')->check(CLI::IsMember(names));
    app.add_flag("--through-haproxy", s.through_haproxy,
                 "By HAProxy's two addresses instead of the nodes' own");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : exit_usage;
    }
    s.duration = std::chrono::duration<double>(minutes * 60);
    auto missing = failover::patroni::missing();
    if (missing.empty() && s.through_haproxy && !test::haproxy::installed()) missing = "haproxy";
    if (missing.empty()) return std::nullopt;
    std::cerr << "pgcoro_failover: not installed here: " << missing << " (the name of Debian's package)\n";
    return exit_not_possible;
}

int run(const failover::settings& s)
{
    auto tell = [](const std::string& line) { std::cerr << line << std::endl; };
    tell("seed " + std::to_string(s.seed) + "; starting etcd and three nodes");
    failover::patroni p;
    failover::trial t(p, s, tell);
    auto found = t.run();
    auto& out = std::cout;
    out << "From the harm until Patroni had a leader, which is Patroni's affair:\n";
    chaos::print_recoveries(out, t.without_leader());
    out << "From there being a leader until every caller had success again:\n";
    chaos::print_recoveries(out, found.by_kind);
    chaos::print_books(out, found);
    chaos::print_verdict(out, found);
    return found.complaints.empty() ? 0 : exit_failed;
}

} // namespace

int main(int argc, char** argv)
{
    failover::settings s;
    if (auto code = parse(argc, argv, s)) return *code;
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return run(s);
    } catch (const std::exception& e) {
        std::cerr << "pgcoro_failover, seed " << s.seed << ": " << e.what() << std::endl;
        return exit_failed;
    }
}
