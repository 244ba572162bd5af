#include "supervisor.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace pgcoro::testing
{

namespace
{

// SIGQUIT is PostgreSQL's immediate shutdown; it gives back the shared memory that SIGKILL leaves behind.
// Whoever is still there after about five seconds is killed. A postmaster.pid that is left names the shared
// memory of a killed postmaster.
constexpr const char* script = R"sh(
trap '' HUP INT QUIT TERM
read -r line
ours() {
    for process in /proc/[0-9]*; do
        if [ "$process/cwd" -ef "$1/data" ]; then echo "${process#/proc/}"; fi
    done
}
round=0
while [ $round -lt 300 ]; do
    found=$(ours "$1")
    [ -n "$found" ] || break
    if [ $round -lt 100 ]; then
        kill -CONT $found
        kill -QUIT $found
    else
        kill -KILL $found
    fi
    round=$((round + 1))
    sleep 0.05
done
segment=$(sed -n '7s/.* //p' "$1/data/postmaster.pid")
[ -z "$segment" ] || ipcrm -m "$segment"
rm -rf -- "$1"
)sh";

} // namespace

supervisor::supervisor(const std::filesystem::path& folder, const std::optional<identity>& user)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    const unique_fd watched(ends[0]);
    lifeline_ = unique_fd(ends[1]);

    command shell;
    shell.argv = {"/bin/sh", "-c", script, "pgcoro-testing-supervisor", folder.string()};
    shell.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    shell.user = user;
    shell.in = watched.get();
    process_ = spawn(shell);
}

supervisor::~supervisor()
{
    lifeline_.reset();
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

} // namespace pgcoro::testing
