#include "cli/command.hpp"

#include "cli/bench.hpp"
#include "cli/doctor.hpp"
#include "cli/health.hpp"
#include "cli/locks.hpp"
#include "cli/monitor.hpp"
#include "cli/near_word.hpp"
#include "cli/report.hpp"
#include "cli/target.hpp"
#include "cli/terminal.hpp"

#include <pgcoro/error/error.hpp>

#include <CLI/CLI.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <unistd.h>

namespace pgcoro::cli
{

namespace asio = boost::asio;

namespace
{

// Those that may stand where the wrong word stood.
std::vector<std::string> known_words(const CLI::App& at)
{
    std::vector<std::string> words;
    for (auto* sub : at.get_subcommands([](const CLI::App*) { return true; }))
        words.push_back(sub->get_name());
    for (auto* option : at.get_options())
        for (auto& name : option->get_lnames()) words.push_back("--" + name);
    return words;
}

// The word that the command line has too much.
std::optional<std::string> stray_word(const CLI::App& at)
{
    auto rest = at.remaining();
    if (rest.empty()) return std::nullopt;
    return rest.front().substr(0, rest.front().find('='));
}

// Anything else may be part of a connection string that was not quoted, and then it may be a password.
bool may_be_option(std::string_view word)
{
    constexpr std::string_view characters = "abcdefghijklmnopqrstuvwxyz-";
    return word.starts_with('-') && word.find_first_not_of(characters) == word.npos;
}

int tell_usage_error(const CLI::App& app, const CLI::ParseError& e)
{
    auto chosen = app.get_subcommands();
    const CLI::App& at = chosen.empty() ? app : *chosen.front();
    auto name = "pgcoro" + (chosen.empty() ? "" : " " + at.get_name());
    auto stray = stray_word(at);
    if (!stray) stray = stray_word(app);
    terminal out(std::cerr, "never", STDERR_FILENO);
    if (stray && !chosen.empty() && !may_be_option(*stray)) {
        out.write(name + ": there is a word that is not an option; quote a value that has spaces");
    } else if (stray) {
        auto text = name + ": it does not know '" + *stray + "'";
        if (auto meant = near_word(*stray, known_words(at)))
            text += ": did you mean '" + *meant + "'?";
        else if (chosen.empty())
            text += "; there are health, monitor, doctor, bench and locks";
        out.write(text);
    } else {
        out.write_lines(name + ": " + e.what());
    }
    out.write("Try '" + name + " --help'.");
    return exit_usage;
}

// Runs the coroutine to its end, alone.
template <class Result>
Result run_to_end(asio::awaitable<Result> work)
{
    asio::io_context io(1);
    std::exception_ptr failure;
    std::optional<Result> made;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr e, Result r) {
        failure = std::move(e);
        made = std::move(r);
    });
    io.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(*made);
}

int show(const report& r, const common_settings& s, terminal& out)
{
    if (s.json())
        out.write_json(to_json(r));
    else
        print(out, r);
    return r.code();
}

int run_chosen(const std::string& command, const settings& s)
{
    terminal out(std::cout, s.common.color, STDOUT_FILENO);
    if (command == "health") return show(run_to_end(health(s)), s.common, out);
    if (command == "doctor") return show(run_to_end(doctor(s)), s.common, out);
    if (command == "locks") return run_to_end(locks(s, out));
    if (command == "bench") return run_to_end(bench(s, out));
    return run_to_end(monitor(s, out));
}

// Server messages and names of others stand in it.
void complain(const std::string& command, const std::string& what)
{
    terminal(std::cerr, "never", STDERR_FILENO).write_lines("pgcoro " + command + ": " + what);
}

} // namespace

int run(int argc, char** argv)
{
    std::string command;
    try {
        settings s;
        auto app = make_app(s);
        try {
            app->parse(argc, argv);
        } catch (const CLI::Success& e) { // --help, --version
            return app->exit(e);
        } catch (const CLI::ParseError& e) {
            return tell_usage_error(*app, e);
        }
        auto* chosen = app->get_subcommands().front();
        command = chosen->get_name();
        if (command == "monitor" && chosen->count("--interval") == 0 && !s.common.json() &&
            ::isatty(STDOUT_FILENO))
            s.monitor.interval = 2;
        s.common.timeout_chosen = chosen->count("--timeout") != 0;
        s.common.timeout = effective_timeout(s.common);
        return run_chosen(command, s);
    } catch (const connection_error& e) {
        complain(command, e.what() + std::string("\nFind out why, and what mends it: pgcoro doctor"));
        return e.why() == connection_failure::options ? exit_usage : exit_critical;
    } catch (const std::invalid_argument& e) {
        complain(command, e.what());
        return exit_usage;
    } catch (const std::exception& e) {
        complain(command, e.what());
        return exit_unknown;
    }
}

} // namespace pgcoro::cli
