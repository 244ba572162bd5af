#include "integration/support/private_program.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace test
{

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace pgcoro::testing;

private_program::private_program(std::string name)
    : name_(std::move(name))
    , files_("/tmp", unprivileged_user())
    , watch_(files_.path(), files_.user())
{}

private_program::~private_program() { stop(); }

std::string private_program::write(const std::string& name, const std::string& text) const
{
    files_.write(name, text);
    return (files_.path() / name).string();
}

void private_program::start(std::vector<std::string> argv, const std::function<bool()>& ready)
{
    command run;
    run.argv = std::move(argv);
    run.environment = {"LC_ALL=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"};
    run.user = files_.user();
    run.cwd = data();
    run.log = files_.path() / "log";
    process_ = spawn(run);
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!ready()) {
        if (reaped(process_)) {
            process_ = 0;
            throw std::runtime_error(name_ + " did not start; its log:\n" + log());
        }
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error(name_ + " is not ready after 30 s; its log:\n" + log());
        std::this_thread::sleep_for(5ms);
    }
}

void private_program::stop()
{
    if (process_ == 0) return;
    ::kill(process_, SIGTERM);
    ::kill(process_, SIGCONT);
    if (wait_for(process_, 10s))
        process_ = 0;
    else
        kill();
}

void private_program::kill()
{
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    wait_for(process_, 10s);
    process_ = 0;
}

void private_program::signal(int number) const
{
    if (process_ != 0) ::kill(process_, number);
}

std::string private_program::log() const { return files_.read("log"); }

bool listens(std::uint16_t port)
{
    const unique_fd s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(port);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(s.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0;
}

fs::path installed(const std::string& name)
{
    for (auto* folder : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"})
        if (::access((fs::path(folder) / name).c_str(), X_OK) == 0) return fs::path(folder) / name;
    return {};
}

} // namespace test
