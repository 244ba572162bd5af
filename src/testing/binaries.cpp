#include "binaries.hpp"

#include "process.hpp"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace pgcoro::testing
{

namespace
{

namespace fs = std::filesystem;

constexpr const char* advice =
    "install PostgreSQL (Debian, Ubuntu: apt-get install postgresql), or name the folder of "
    "its programs in PGCORO_PG_BIN";

/// The first program that is missing in a folder.
std::optional<std::string> missing_in(const fs::path& folder)
{
    for (const char* program : {"postgres", "initdb", "psql"}) {
        if (::access((folder / program).c_str(), X_OK) != 0) return program;
    }
    return {};
}

fs::path required(const fs::path& folder, const std::string& origin)
{
    if (const auto program = missing_in(folder)) {
        throw std::runtime_error("no " + *program + " in " + folder.string() + ", which " + origin +
                                 " names; " + advice);
    }
    return folder;
}

std::vector<fs::path> search_path()
{
    std::vector<fs::path> result;
    const char* path = std::getenv("PATH");
    std::istringstream stream(path ? path : "/usr/local/bin:/usr/bin:/bin");
    for (std::string folder; std::getline(stream, folder, ':');) {
        if (!folder.empty()) result.emplace_back(folder);
    }
    return result;
}

std::optional<fs::path> told_by_pg_config()
{
    for (const fs::path& folder : search_path()) {
        const fs::path program = folder / "pg_config";
        if (::access(program.c_str(), X_OK) != 0) continue;
        command ask;
        ask.argv = {program.string(), "--bindir"};
        ask.environment = {"PATH=/usr/bin:/bin"};
        const outcome answer = run(ask, {}, std::chrono::seconds(10));
        if (!answer.succeeded()) return {};
        return fs::path(answer.out.substr(0, answer.out.find('\n')));
    }
    return {};
}

std::optional<fs::path> newest_of_debian()
{
    const fs::path root = "/usr/lib/postgresql";
    std::optional<fs::path> result;
    int newest = 0;
    std::error_code none_there;
    for (const auto& entry : fs::directory_iterator(root, none_there)) {
        const int version = std::atoi(entry.path().filename().c_str());
        if (version > newest && !missing_in(entry.path() / "bin")) {
            newest = version;
            result = entry.path() / "bin";
        }
    }
    return result;
}

} // namespace

fs::path find_binaries(const fs::path& wanted)
{
    if (!wanted.empty()) return required(wanted, "server_options::bin_dir");
    if (const char* folder = std::getenv("PGCORO_PG_BIN"); folder && *folder) {
        return required(folder, "PGCORO_PG_BIN");
    }
    // Debian's pg_config comes with libpq-dev and names a folder that need not be there.
    if (const auto folder = told_by_pg_config(); folder && !missing_in(*folder)) return *folder;
    if (const auto folder = newest_of_debian()) return *folder;
    for (const fs::path& folder : search_path()) {
        if (!missing_in(folder)) return folder;
    }
    throw std::runtime_error(
        "no PostgreSQL server found (not by pg_config, in /usr/lib/postgresql/*/bin, in PATH); " +
        std::string(advice));
}

} // namespace pgcoro::testing
