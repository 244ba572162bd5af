#pragma once

#include "testing/private_folder.hpp"
#include "testing/process.hpp"
#include "testing/supervisor.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace test
{

/// A program that a test runs beside the layer, in a temporary folder of its own and never as root. Both are
/// gone with this object, however the process ends.
class private_program
{
public:
    /// Makes the folder. `name` is for messages and the log.
    explicit private_program(std::string name);
    private_program(const private_program&) = delete;
    private_program& operator=(const private_program&) = delete;
    /// Ends the program with SIGTERM, or by force.
    ~private_program();

    const std::filesystem::path& folder() const noexcept { return files_.path(); }
    /// Its working directory, empty at first, by which who watches over it finds it.
    std::filesystem::path data() const { return files_.data(); }
    /// A file in the folder that it can read; gives its path.
    std::string write(const std::string& name, const std::string& text) const;

    /// Starts it, and waits until `ready` (asked every few milliseconds) says so. Throws
    /// `std::runtime_error` with its log when it ends before, or is not ready after half a minute.
    void start(std::vector<std::string> argv, const std::function<bool()>& ready);
    /// SIGTERM, then SIGKILL if it is still there after ten seconds.
    void stop();
    /// A signal for the program itself.
    void signal(int number) const;
    /// Ends it with SIGKILL.
    void kill();
    bool running() const noexcept { return process_ != 0; }
    std::string log() const;

private:
    std::string name_;
    pgcoro::testing::private_folder files_;
    pgcoro::testing::supervisor watch_;
    pid_t process_ = 0;
};

/// True when something listens on that port of 127.0.0.1.
bool listens(std::uint16_t port);

/// The first of the usual folders' programs of that name; empty when there is none.
std::filesystem::path installed(const std::string& name);

} // namespace test
