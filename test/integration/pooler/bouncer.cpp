#include "integration/pooler/bouncer.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace pgcoro::testing;

namespace
{

// PgBouncer refuses to run as root.
std::optional<identity> other_than_root()
{
    if (::geteuid() != 0) return std::nullopt;
    for (auto* name : {"postgres", "nobody"})
        if (auto* entry = ::getpwnam(name)) return identity{entry->pw_uid, entry->pw_gid, name};
    throw std::runtime_error("no user postgres or nobody to run PgBouncer as");
}

fs::path program()
{
    for (auto* path : {"/usr/sbin/pgbouncer", "/usr/local/bin/pgbouncer", "/usr/bin/pgbouncer"})
        if (::access(path, X_OK) == 0) return path;
    throw std::runtime_error("no PgBouncer found: apt-get install pgbouncer");
}

bool answers(const fs::path& path)
{
    const unique_fd s(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    return ::connect(s.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

bouncer::bouncer(const server& behind, const std::string& pool_mode, int size)
    : user_(other_than_root())
{
    std::string path = "/tmp/pgcoro-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make a folder " + path);
    folder_ = path;
    fs::create_directory(folder_ / "data"); // its working directory, by which the supervisor finds it
    std::ofstream(folder_ / "users") << "\"postgres\" \"\"\n";
    std::ofstream(folder_ / "ini") << "[databases]\n* = host=" << behind.socket_dir().string()
                                   << " port=" << behind.port() << "\n[pgbouncer]\n"
                                   << "pool_mode = " << pool_mode << "\ndefault_pool_size = " << size << '\n'
                                   << "listen_addr = 127.0.0.1\nlisten_port = " << port_.number() << '\n'
                                   << "unix_socket_dir = " << folder_.string() << '\n'
                                   << "auth_type = trust\nauth_file = " << (folder_ / "users").string()
                                   << '\n'
                                   << "max_client_conn = 200\nserver_login_retry = 1\n";
    for (auto* name : {".", "data", "users", "ini"})
        if (user_ && ::chown((folder_ / name).c_str(), user_->uid, user_->gid) != 0)
            throw std::runtime_error("cannot give " + folder_.string() + " to " + user_->name);
    watch_.emplace(folder_, user_);
    start();
}

bouncer::~bouncer() { stop(); }

std::string bouncer::uri() const
{
    return "postgresql://postgres@127.0.0.1:" + std::to_string(port_.number()) + "/postgres";
}

void bouncer::restart()
{
    stop();
    start();
}

void bouncer::start()
{
    const fs::path log = folder_ / "log";
    const unique_fd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    command run;
    run.argv = {program().string(), (folder_ / "ini").string()};
    run.environment = {"LC_ALL=C"};
    run.user = user_;
    run.cwd = folder_ / "data";
    run.out = run.err = out.get();
    process_ = spawn(run);
    const auto socket = folder_ / (".s.PGSQL." + std::to_string(port_.number()));
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!answers(socket)) {
        if (reaped(process_) || std::chrono::steady_clock::now() > deadline) {
            std::ifstream file(log);
            throw std::runtime_error("PgBouncer did not start: " +
                                     std::string(std::istreambuf_iterator<char>(file), {}));
        }
        std::this_thread::sleep_for(5ms);
    }
}

void bouncer::stop()
{
    if (process_ == 0) return;
    ::kill(process_, SIGTERM);
    if (!wait_for(process_, 10s)) ::kill(process_, SIGKILL);
    wait_for(process_, 10s);
    process_ = 0;
}
