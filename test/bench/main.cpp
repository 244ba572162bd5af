// Is it as fast as promised? Each measure is run against a floor written by hand, side by side.
#include "environment.hpp"
#include "measures/measures.hpp"
#include "report.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <exception>
#include <iostream>
#include <optional>

namespace
{

using namespace bench;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

struct entry
{
    std::string id;
    measure (*make)(const environment&);
};

const std::vector<entry>& measures()
{
    static const std::vector<entry> all = {
        {"P1", point_select},      {"P2", multiplexed},  {"P3", acquire_release}, {"P4", transactions},
        {"P5", rows_into_structs}, {"P6", rows_by_copy}, {"P7", cache_hit},       {"P8", waiters},
        {"P9", deadlocks},         {"M1", observed},     {"C1", over_callers},    {"C2", over_connections},
        {"C3", over_rows},         {"C4", over_depth},   {"C5", over_text},       {"C6", over_parameters}};
    return all;
}

struct settings
{
    double seconds = 2;
    int runs = 5;
    std::vector<std::string> only;
    std::string contender;
    bool peers = true;
    bool json = false;
};

// Gives the exit code if there is nothing to be run: --help, or a mistake, which is told.
std::optional<int> parse(int argc, char** argv, settings& s)
{
    CLI::App app(
        "Measures pgcoro against a floor: the same work by hand-written libpq and epoll. What counts are "
        "the ratios; the figures themselves are the machine's.\n"
        "Exit code: 0 when it ran, whatever came out; 1 when something failed, 2 for wrong usage.",
        "pgcoro_bench");
    std::vector<std::string> ids;
    for (auto& e : measures()) ids.push_back(e.id);
    app.option_defaults()->always_capture_default();
    app.add_option("--seconds", s.seconds, "How long each contender runs each time")
        ->check(CLI::Range(0.1, 3'600.0));
    app.add_option("--runs", s.runs, "How often each contender runs, by turns")->check(CLI::Range(1, 1'000));
    app.option_defaults()->always_capture_default(false);
    app.add_option("--only", s.only, "These measures, such as P1,P5")
        ->delimiter(',')
        ->check(CLI::IsMember(ids));
    app.add_option("--contender", s.contender,
                   "Run this one alone, such as floor, and tell no ratios: for a profiler");
    app.add_flag("!--no-peers", s.peers, "Leave out libpqxx and pgbench");
    app.add_flag("--json", s.json, "Write the result as JSON");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : exit_usage;
    }
    return std::nullopt;
}

// The contenders run by turns, so that whatever else the machine does meets them all.
outcome run(measure m, const settings& s)
{
    constexpr seconds warm_up{0.1};
    std::erase_if(m.contenders, [&](const contender& c) {
        if (!s.contender.empty()) return c.name != s.contender;
        return !s.peers && (c.name == "libpqxx" || c.name == "pgbench");
    });
    if (!s.contender.empty()) m.goals.clear();
    outcome o{std::move(m), {}};
    for (auto& c : o.what.contenders) c.run(warm_up);
    for (int i = 0; i < s.runs; ++i)
        for (auto& c : o.what.contenders) o.got[c.name].push_back(c.run(seconds(s.seconds)));
    return o;
}

int run(const settings& s)
{
    std::cerr << "starting a private PostgreSQL" << std::endl;
    environment where;
    if (!where.pinned()) std::cerr << "only one core: server and client share it" << std::endl;
    std::vector<outcome> all;
    for (auto& e : measures()) {
        if (!s.only.empty() && std::find(s.only.begin(), s.only.end(), e.id) == s.only.end()) continue;
        if (s.json) std::cerr << e.id << std::endl;
        auto o = run(e.make(where), s);
        if (!s.json) print_table(std::cout, o);
        for (auto& c : o.what.contenders) c.run = nullptr; // and its connections with it
        all.push_back(std::move(o));
    }
    if (s.json) print_json(std::cout, all, where.pinned());
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    settings s;
    if (auto code = parse(argc, argv, s)) return *code;
    try {
        return run(s);
    } catch (const std::exception& e) {
        std::cerr << "pgcoro_bench: " << e.what() << std::endl;
        return exit_failed;
    }
}
