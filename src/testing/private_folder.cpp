#include "private_folder.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

namespace pgcoro::testing
{

namespace
{

namespace fs = std::filesystem;

constexpr const char* make_script = R"sh(
umask 077
made=$(mktemp -d -- "$1/pgcoro-XXXXXX") && mkdir -- "$made/data" && printf %s "$made"
)sh";
constexpr const char* write_script = R"sh(umask 077; exec cat >"$1")sh";
constexpr const char* append_script = R"sh(umask 077; exec cat >>"$1")sh";

} // namespace

std::optional<identity> unprivileged_user(const std::string& wanted)
{
    if (::geteuid() != 0) return {};
    const auto candidates =
        wanted.empty() ? std::vector<std::string>{"postgres", "nobody"} : std::vector{wanted};
    for (const std::string& name : candidates) {
        if (const passwd* entry = ::getpwnam(name.c_str()))
            return identity{entry->pw_uid, entry->pw_gid, name};
    }
    throw std::runtime_error("PostgreSQL refuses to run as root, and there is no user " + candidates.front() +
                             (wanted.empty() ? " or nobody" : "") + " to run it as");
}

private_folder::private_folder(const fs::path& parent, std::optional<identity> user)
    : user_(std::move(user))
    , path_(run_script(make_script, {fs::absolute(parent).string()}, {}))
{}

void private_folder::write(const fs::path& name, std::string_view text) const
{
    run_script(write_script, {(path_ / name).string()}, text);
}

void private_folder::append(const fs::path& name, std::string_view text) const
{
    run_script(append_script, {(path_ / name).string()}, text);
}

std::string private_folder::read(const fs::path& name) const
{
    // O_NONBLOCK: a FIFO in place of the file must not stop this process.
    const unique_fd file(::open((path_ / name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat found
    {};
    if (file.get() < 0 || ::fstat(file.get(), &found) != 0) return {};
    const uid_t owner = user_ ? user_->uid : ::geteuid();
    if (!S_ISREG(found.st_mode) || found.st_uid != owner) return {};
    return contents(file);
}

std::string private_folder::run_script(const char* script, std::vector<std::string> arguments,
                                       std::string_view input) const
{
    command shell;
    shell.argv = {"/bin/sh", "-c", script, "pgcoro-testing"};
    shell.argv.insert(shell.argv.end(), arguments.begin(), arguments.end());
    shell.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
    shell.user = user_;
    const outcome result = run(shell, input, std::chrono::seconds(30));
    if (!result.succeeded())
        throw std::runtime_error("cannot write to " + arguments.front() +
                                 (user_ ? " as user " + user_->name : std::string()) + ": " +
                                 (result.timed_out ? "no end after 30 s" : trimmed(result.err)));
    return result.out;
}

} // namespace pgcoro::testing
