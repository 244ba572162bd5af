/// The command line.
#pragma once

#include "cli/settings.hpp"

#include <memory>

namespace CLI
{
class App;
}

namespace pgcoro::cli
{

/// The whole of the command line; parsing it fills `into`, which must outlive it.
std::unique_ptr<CLI::App> make_app(settings& into);

/// What main() does; gives the exit code. Throws nothing.
int run(int argc, char** argv);

} // namespace pgcoro::cli
