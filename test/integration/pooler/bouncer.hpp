#pragma once

#include "testing/process.hpp"
#include "testing/reserved_port.hpp"
#include "testing/supervisor.hpp"

#include <pgcoro/testing/server.hpp>

#include <filesystem>
#include <optional>
#include <string>

/// PgBouncer before a private server, on a port of its own; as the server it is gone with this object,
/// however the process ends.
class bouncer
{
public:
    /// `pool_mode` is "session" or "transaction". At most `size` connections to the server.
    bouncer(const pgcoro::testing::server& behind, const std::string& pool_mode, int size = 4);
    bouncer(const bouncer&) = delete;
    bouncer& operator=(const bouncer&) = delete;
    ~bouncer();

    /// Over TCP, with libpq's own parameters only.
    std::string uri() const;
    /// Cuts all connections.
    void restart();

private:
    void start();
    void stop();

    std::optional<pgcoro::testing::identity> user_;
    std::filesystem::path folder_;
    pgcoro::testing::reserved_port port_;
    std::optional<pgcoro::testing::supervisor> watch_;
    pid_t process_ = 0;
};
