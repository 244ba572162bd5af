#include "cli/command.hpp"

#include "cli/bench.hpp"
#include "cli/doctor.hpp"
#include "cli/health.hpp"
#include "cli/locks.hpp"
#include "cli/monitor.hpp"
#include "cli/near_word.hpp"
#include "cli/report.hpp"
#include "cli/target.hpp"

#include <pgcoro/error/error.hpp>

#include <CLI/CLI.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/serialize.hpp>

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
    if (stray && !chosen.empty() && !may_be_option(*stray)) {
        std::cerr << name << ": there is a word that is not an option; quote a value that has spaces\n";
    } else if (stray) {
        std::cerr << name << ": it does not know '" << *stray << "'";
        if (auto meant = near_word(*stray, known_words(at)))
            std::cerr << ": did you mean '" << *meant << "'?";
        else if (chosen.empty())
            std::cerr << "; there are health, monitor, doctor, bench and locks";
        std::cerr << '\n';
    } else {
        std::cerr << name << ": " << e.what() << '\n';
    }
    std::cerr << "Try '" << name << " --help'.\n";
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

int show(const report& r, const common_settings& s)
{
    if (s.json())
        std::cout << boost::json::serialize(to_json(r)) << std::endl;
    else
        print(std::cout, r, painter(s.color, STDOUT_FILENO));
    return r.code();
}

int run_chosen(const std::string& command, const settings& s)
{
    if (command == "health") return show(run_to_end(health(s)), s.common);
    if (command == "doctor") return show(run_to_end(doctor(s)), s.common);
    if (command == "locks") return run_to_end(locks(s, std::cout));
    if (command == "bench") return run_to_end(bench(s, std::cout));
    return run_to_end(monitor(s, std::cout));
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
        return run_chosen(command, s);
    } catch (const connection_error& e) {
        std::cerr << "pgcoro " << command << ": " << e.what()
                  << "\nFind out why, and what mends it: pgcoro doctor\n";
        return e.why() == connection_failure::options ? exit_usage : exit_critical;
    } catch (const std::invalid_argument& e) {
        std::cerr << "pgcoro " << command << ": " << e.what() << '\n';
        return exit_usage;
    } catch (const std::exception& e) {
        std::cerr << "pgcoro " << command << ": " << e.what() << '\n';
        return exit_unknown;
    }
}

} // namespace pgcoro::cli
