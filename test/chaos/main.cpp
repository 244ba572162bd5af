// The layer under load while its servers and its network are mistreated, one fault after the other: what must
// hold in the end, and how long it takes until all is well again.
#include "faults.hpp"
#include "report.hpp"
#include "resources.hpp"
#include "settings.hpp"
#include "trial.hpp"
#include "waiting.hpp"
#include "world.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <random>
#include <thread>

namespace
{

using namespace chaos;
using namespace std::chrono_literals;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

// What the C library keeps for each thread that frees (its tcache: up to 7 pieces of each size up to 1 KiB,
// 230 KiB a thread) counts as in use; proxies, resolver and cancel requests have threads that fill theirs in
// the course of the trial. A leak of 20 bytes a transfer would be beyond that within minutes.
constexpr std::size_t heap_bound = 1024 * 1024;

// Gives the exit code if there is nothing to be run: --help, or a mistake, which is told.
std::optional<int> parse(int argc, char** argv, settings& s)
{
    CLI::App app(
        "Mistreats a primary, its replica and the network under load, one fault after the other, in a random "
        "order. Then checks that no money was lost, every transfer took place exactly once, every "
        "history of appends is one that its isolation level allows, nothing "
        "leaked and no wait was without bound.\n"
        "Exit code: 0 when all of that held, 1 when not, 2 for wrong usage.",
        "pgcoro_chaos");
    double minutes = 1;
    double quiet = 1;
    std::string known;
    std::vector<std::string> names;
    for (auto& kind : all_faults()) {
        names.emplace_back(kind.name);
        known += "\n  " + std::string(kind.name) + std::string(22 - kind.name.size(), ' ') +
                 std::string(kind.what);
    }
    app.footer("Faults:" + known);
    s.seed = std::random_device{}();
    app.add_option("--minutes", minutes, "How long; 1 by default")->check(CLI::Range(0.01, 100'000.0));
    app.add_option("--faults", s.faults, "Ends after so many faults, however long that takes");
    app.add_option("--seed", s.seed, "For the same faults in the same order; random by default, and told");
    app.add_option("--quiet", quiet, "Seconds without a fault between two; 1 by default")
        ->check(CLI::Range(0.0, 3600.0));
    app.add_option("--kinds", s.kinds, "None but these faults")->delimiter(',')->check(CLI::IsMember(names));
    app.add_flag("--json", s.json, "The result as a JSON object");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : exit_usage;
    }
    s.duration = std::chrono::duration<double>(minutes * 60);
    s.quiet = std::chrono::milliseconds(static_cast<long>(quiet * 1000));
    return std::nullopt;
}

std::vector<const fault_kind*> chosen(world& w, const settings& s, std::vector<std::string>& left_out)
{
    std::vector<const fault_kind*> kinds;
    for (auto& kind : all_faults()) {
        if (!s.kinds.empty() && std::ranges::find(s.kinds, kind.name) == s.kinds.end()) continue;
        auto obstacle = kind.obstacle ? kind.obstacle(w) : "";
        if (obstacle.empty())
            kinds.push_back(&kind);
        else
            left_out.push_back("left out: " + std::string(kind.name) + ", because " + std::string(obstacle));
    }
    return kinds;
}

// What was silent is forgotten by the network in the end, and with it goes what waited for a word.
resources settled(const resources& before)
{
    auto until = clock::now() + 15s;
    auto now = resources::now();
    for (; now.descriptors != before.descriptors && clock::now() < until; now = resources::now())
        std::this_thread::sleep_for(10ms);
    return now;
}

void compare(report& r)
{
    auto& complaints = r.found.complaints;
    if (r.after.descriptors != r.before.descriptors)
        complaints.push_back("file descriptors: " + std::to_string(r.before.descriptors) + " before, " +
                             std::to_string(r.after.descriptors) + " after");
    if (r.after.heap > r.before.heap + heap_bound)
        complaints.push_back("heap: " + std::to_string(r.before.heap) + " bytes before, " +
                             std::to_string(r.after.heap) + " after, more than " +
                             std::to_string(heap_bound) + " beyond");
}

int run(const settings& s)
{
    small_disk::possible(); // before there are threads
    report r;
    r.settings = s;
    auto tell = [](const std::string& line) { std::cerr << line << std::endl; };
    tell("seed " + std::to_string(s.seed) + "; starting a primary and its replica");
    world w(s.seed);
    r.options = w.cluster_options();
    auto kinds = chosen(w, s, r.left_out);
    for (auto& line : r.left_out) tell(line);
    {
        // What is made once a process is there before anything is weighed.
        settings quiet = s;
        quiet.faults = 0;
        quiet.duration = 2s;
        auto found = trial(w, quiet, tell).run({});
        w.primary().server().psql("drop table " + load::tables());
        w.replica().server().catch_up_with(w.primary().server());
        if (!found.complaints.empty())
            throw std::runtime_error("without any fault: " + found.complaints.front());
    }
    r.before = resources::now();
    r.found = trial(w, s, tell).run(kinds);
    r.after = settled(r.before);
    compare(r);
    if (s.json)
        print_json(std::cout, r);
    else
        print_table(std::cout, r);
    return r.passed() ? 0 : exit_failed;
}

} // namespace

int main(int argc, char** argv)
{
    settings s;
    if (auto code = parse(argc, argv, s)) return *code;
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return run(s);
    } catch (const std::exception& e) {
        std::cerr << "pgcoro_chaos, seed " << s.seed << ": " << e.what() << std::endl;
        return exit_failed;
    }
}
