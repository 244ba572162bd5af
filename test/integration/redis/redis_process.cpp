#include "integration/redis/redis_process.hpp"

#include <signal.h>
#include <stdlib.h>

#include <stdexcept>
#include <thread>

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace pgcoro::testing;

redis_process::redis_process(std::string password)
    : password_(std::move(password))
{
    std::string path = "/tmp/pgcoro-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make a folder " + path);
    folder_ = path;
    fs::create_directory(folder_ / "data"); // its working directory, by which the supervisor finds it
    watch_.emplace(folder_, std::nullopt);
    start();
}

redis_process::~redis_process() { kill(); }

pgcoro::redis_instance redis_process::by_socket() const
{
    pgcoro::redis_instance there;
    there.socket = (folder_ / "socket").string();
    there.password = password_;
    return there;
}

pgcoro::redis_instance redis_process::by_port() const
{
    pgcoro::redis_instance there;
    there.port = port_.number();
    there.password = password_;
    return there;
}

void redis_process::start()
{
    command run;
    run.argv = {"/usr/bin/redis-server",
                "--unixsocket",
                (folder_ / "socket").string(),
                "--bind",
                "127.0.0.1",
                "--port",
                std::to_string(port_.number()),
                "--save",
                "",
                "--dir",
                (folder_ / "data").string()};
    if (!password_.empty()) run.argv.insert(run.argv.end(), {"--requirepass", password_});
    run.environment = {"LC_ALL=C"};
    run.cwd = folder_ / "data";
    process_ = spawn(run);
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (cli({"ping"}) != "PONG\n") {
        if (reaped(process_) || std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("redis-server did not start: is it installed (redis-server)?");
        std::this_thread::sleep_for(5ms);
    }
}

void redis_process::kill()
{
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    wait_for(process_, 10s);
    process_ = 0;
}

void redis_process::pause() { ::kill(process_, SIGSTOP); }
void redis_process::resume() { ::kill(process_, SIGCONT); }

std::string redis_process::cli(const std::vector<std::string>& words) const
{
    command ask;
    ask.argv = {"/usr/bin/redis-cli", "-s", (folder_ / "socket").string()};
    if (!password_.empty()) ask.argv.insert(ask.argv.end(), {"--no-auth-warning", "-a", password_});
    ask.argv.insert(ask.argv.end(), words.begin(), words.end());
    ask.environment = {"LC_ALL=C"};
    return run(ask, "", 10s).out;
}
