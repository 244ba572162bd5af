#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::testing
{

/// A file descriptor that closes itself.
class unique_fd
{
public:
    unique_fd() = default;
    explicit unique_fd(int fd)
        : fd_(fd)
    {}
    unique_fd(unique_fd&& other) noexcept
        : fd_(other.release())
    {}
    unique_fd& operator=(unique_fd&& other) noexcept;
    ~unique_fd() { reset(); }

    int get() const noexcept { return fd_; }
    int release() noexcept;
    void reset() noexcept;

private:
    int fd_ = -1;
};

/// A user of the operating system.
struct identity
{
    uid_t uid;
    gid_t gid;
    std::string name;
};

/// A program to be started: apart from this process in all that could tie it to us. It gets a session of its
/// own (a Ctrl-C is not for it), default signals, no descriptors beyond the three below, and no environment
/// but the given.
struct command
{
    std::vector<std::string> argv; ///< argv[0] is the path of the program
    std::vector<std::string> environment;
    std::optional<identity> user; ///< none: as this process
    std::filesystem::path cwd = "/";
    int in = -1; ///< -1: /dev/null, here and below
    int out = -1;
    int err = -1;
    /// If not empty: the file that stdout and stderr are appended to, in place of `out` and `err`. The child
    /// opens it after it has become `user`, and creates it with mode 0600.
    std::filesystem::path log = {};
};

/// Starts a program and returns its process id. Throws `std::system_error` that names the program if it
/// cannot be run.
pid_t spawn(const command& what);

/// What a program left behind.
struct outcome
{
    bool timed_out = false;
    int status = 0; ///< as of waitpid
    std::string out;
    std::string err;

    bool succeeded() const { return !timed_out && status == 0; }
};

/// The text of a regular file, from its beginning.
std::string contents(const unique_fd& file);

/// Without the white space at its end.
std::string trimmed(std::string text);

/// The last lines of what a program said, indented; "(empty)" when it said nothing.
std::string tail(const std::string& text, std::size_t most = 20);

/// Runs a program to its end, with `input` as its stdin. Kills it when `timeout` is over.
outcome run(command what, std::string_view input, std::chrono::milliseconds timeout);

/// True once the child has ended (it is reaped then), or if there is no such child.
bool reaped(pid_t child, int* status = nullptr);

/// Waits for a child's end; false when `timeout` was over first.
bool wait_for(pid_t child, std::chrono::milliseconds timeout);

/// The processes whose parent is `parent`.
std::vector<pid_t> children_of(pid_t parent);

/// True while a process runs or is stopped: not gone and not a zombie.
bool alive(pid_t process);

} // namespace pgcoro::testing
