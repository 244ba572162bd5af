#pragma once

#include "testing/process.hpp"
#include "testing/reserved_port.hpp"
#include "testing/supervisor.hpp"

#include <pgcoro/cache/redis.hpp>

#include <filesystem>
#include <optional>
#include <string>

/// A private redis-server, on a Unix socket and a port of its own, that keeps nothing on disk; it is gone
/// with this object, however the process ends.
class redis_process
{
public:
    /// With `password`, it asks for it.
    explicit redis_process(std::string password = "");
    redis_process(const redis_process&) = delete;
    redis_process& operator=(const redis_process&) = delete;
    ~redis_process();

    /// How to get there by the socket.
    pgcoro::redis_instance by_socket() const;
    pgcoro::redis_instance by_port() const;

    void start();
    /// At once, as by a crash.
    void kill();
    /// It takes connections, and answers nothing.
    void pause();
    void resume();
    /// What a command of redis-cli prints.
    std::string cli(const std::vector<std::string>& words) const;

private:
    std::string password_;
    std::filesystem::path folder_;
    pgcoro::testing::reserved_port port_;
    std::optional<pgcoro::testing::supervisor> watch_;
    pid_t process_ = 0;
};
