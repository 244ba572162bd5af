#include "process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

namespace pgcoro::testing
{

namespace
{

[[noreturn]] void fail(const std::string& what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

/// Keeps a descriptor clear of 0, 1 and 2, which the child fills itself.
unique_fd above_stdio(int fd, const char* what)
{
    if (fd < 0) fail(what);
    if (fd > 2) return unique_fd(fd);
    const unique_fd low(fd);
    const int lifted = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (lifted < 0) fail(what);
    return unique_fd(lifted);
}

std::vector<char*> pointers(const std::vector<std::string>& strings)
{
    std::vector<char*> result;
    result.reserve(strings.size() + 1);
    for (const std::string& s : strings) result.push_back(const_cast<char*>(s.c_str()));
    result.push_back(nullptr);
    return result;
}

void close_others_on_exec()
{
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
    const long limit = std::min(::sysconf(_SC_OPEN_MAX), 65536L); // Linux before 5.11
    for (int fd = 3; fd < limit; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/// The child between fork and exec. Other threads of the parent may have held any lock, so that only
/// async-signal-safe calls are allowed here; returns only on failure, errno set.
void become(const command& what, char* const* argv, char* const* environment, int null)
{
    struct sigaction normal
    {};
    normal.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) ::sigaction(number, &normal, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);

    ::setsid();
    const int stdio[] = {what.in, what.out, what.err};
    for (int target = 0; target < 3; ++target) {
        if (::dup2(stdio[target] < 0 ? null : stdio[target], target) < 0) return;
    }
    if (what.user) {
        if (::setgroups(0, nullptr) != 0 || ::setgid(what.user->gid) != 0 || ::setuid(what.user->uid) != 0)
            return;
    }
    if (!what.log.empty()) {
        const int log = ::open(what.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0) return;
    }
    if (::chdir(what.cwd.c_str()) != 0) return;
    close_others_on_exec();
    ::execve(argv[0], argv, environment);
}

unique_fd memory_file() { return above_stdio(::memfd_create("pgcoro", MFD_CLOEXEC), "memfd_create"); }

struct process_state
{
    char state;
    pid_t parent;
};

std::optional<process_state> state_of(const std::string& process)
{
    std::ifstream file("/proc/" + process + "/stat");
    // A process that ends meanwhile is a read error, which a stream's iterator would throw, and this does
    // not.
    std::ostringstream content;
    content << file.rdbuf();
    const std::string text = std::move(content).str();
    const auto name_end = text.rfind(')'); // the name itself may hold spaces and parentheses
    if (name_end == std::string::npos || name_end + 4 >= text.size()) return {};
    process_state result{text[name_end + 2], 0};
    std::from_chars(text.data() + name_end + 4, text.data() + text.size(), result.parent);
    return result;
}

} // namespace

unique_fd& unique_fd::operator=(unique_fd&& other) noexcept
{
    if (this != &other) {
        reset();
        fd_ = other.release();
    }
    return *this;
}

int unique_fd::release() noexcept { return std::exchange(fd_, -1); }

void unique_fd::reset() noexcept
{
    if (fd_ >= 0) ::close(release());
}

pid_t spawn(const command& what)
{
    const auto argv = pointers(what.argv);
    const auto environment = pointers(what.environment);
    const unique_fd null = above_stdio(::open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");

    // Carries errno of a failed exec; a successful one closes it.
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    const unique_fd report = above_stdio(ends[0], "pipe");
    unique_fd reporter = above_stdio(ends[1], "pipe");

    // No handler of this process may run in the child.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t child = ::fork();
    if (child == 0) {
        become(what, argv.data(), environment.data(), null.get());
        const int reason = errno;
        [[maybe_unused]] const ssize_t written = ::write(reporter.get(), &reason, sizeof reason);
        ::_exit(127);
    }
    const int fork_reason = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = fork_reason;
    if (child < 0) fail("fork");

    reporter.reset();
    int reason = 0;
    ssize_t n;
    do n = ::read(report.get(), &reason, sizeof reason);
    while (n < 0 && errno == EINTR);
    if (n == sizeof reason) {
        while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
        }
        const std::string who = what.user ? " as user " + what.user->name : std::string();
        throw std::system_error(reason, std::generic_category(), "cannot run " + what.argv[0] + who);
    }
    return child;
}

std::string contents(const unique_fd& file)
{
    std::string text(static_cast<std::size_t>(std::max<off_t>(::lseek(file.get(), 0, SEEK_END), 0)), '\0');
    const ssize_t n = ::pread(file.get(), text.data(), text.size(), 0);
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
}

std::string trimmed(std::string text)
{
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    return text;
}

std::string tail(const std::string& text, std::size_t most)
{
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back("  " + line + "\n");
    std::string result;
    for (std::size_t i = lines.size() > most ? lines.size() - most : 0; i < lines.size(); ++i)
        result += lines[i];
    return result.empty() ? "  (empty)" : trimmed(result);
}

outcome run(command what, std::string_view input, std::chrono::milliseconds timeout)
{
    // Files instead of pipes: nobody waits for the other to read.
    const unique_fd in = memory_file();
    const unique_fd out = memory_file();
    const unique_fd err = memory_file();
    for (std::string_view rest = input; !rest.empty();) {
        const ssize_t n = ::write(in.get(), rest.data(), rest.size());
        if (n < 0 && errno != EINTR) fail("write");
        if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
    }
    ::lseek(in.get(), 0, SEEK_SET);
    what.in = in.get();
    what.out = out.get();
    what.err = err.get();

    outcome result;
    const pid_t child = spawn(what);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!reaped(child, &result.status)) {
        if (!result.timed_out && std::chrono::steady_clock::now() > deadline) {
            result.timed_out = true;
            ::kill(child, SIGKILL);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    result.out = contents(out);
    result.err = contents(err);
    return result;
}

bool reaped(pid_t child, int* status)
{
    const pid_t result = ::waitpid(child, status, WNOHANG);
    return result == child || (result < 0 && errno == ECHILD);
}

bool wait_for(pid_t child, std::chrono::milliseconds timeout)
{
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!reaped(child)) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

std::vector<pid_t> children_of(pid_t parent)
{
    std::vector<pid_t> result;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        pid_t process = 0;
        const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), process);
        if (problem != std::errc() || end != name.data() + name.size()) continue;
        const auto state = state_of(name);
        if (state && state->parent == parent) result.push_back(process);
    }
    return result;
}

bool alive(pid_t process)
{
    const auto state = state_of(std::to_string(process));
    return state && state->state != 'Z' && state->state != 'X';
}

} // namespace pgcoro::testing
