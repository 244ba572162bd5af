#include "integration/support/private_program.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace test
{

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace pgcoro::testing;

namespace
{

std::optional<identity> other_than_root()
{
    if (::geteuid() != 0) return std::nullopt;
    for (auto* name : {"postgres", "nobody"})
        if (auto* entry = ::getpwnam(name)) return identity{entry->pw_uid, entry->pw_gid, name};
    throw std::runtime_error("no user postgres or nobody to run programs as");
}

void give(const fs::path& what, const std::optional<identity>& to)
{
    if (to && ::chown(what.c_str(), to->uid, to->gid) != 0)
        throw std::runtime_error("cannot give " + what.string() + " to " + to->name);
}

} // namespace

private_program::private_program(std::string name)
    : name_(std::move(name))
    , user_(other_than_root())
{
    std::string path = "/tmp/pgcoro-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make a folder " + path);
    folder_ = path;
    fs::create_directory(data());
    fs::permissions(data(), fs::perms::owner_all);
    give(folder_, user_);
    give(data(), user_);
    watch_.emplace(folder_, user_);
}

private_program::~private_program() { stop(); }

std::string private_program::write(const std::string& name, const std::string& text) const
{
    auto path = folder_ / name;
    std::ofstream(path) << text;
    give(path, user_);
    return path.string();
}

void private_program::start(std::vector<std::string> argv, const std::function<bool()>& ready)
{
    const auto log_file = folder_ / "log";
    const unique_fd out(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    command run;
    run.argv = std::move(argv);
    run.environment = {"LC_ALL=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"};
    run.user = user_;
    run.cwd = data();
    run.out = run.err = out.get();
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

std::string private_program::log() const
{
    std::ifstream file(folder_ / "log");
    return {std::istreambuf_iterator<char>(file), {}};
}

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
