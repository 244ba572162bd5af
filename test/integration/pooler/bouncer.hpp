#pragma once

#include "integration/support/private_program.hpp"
#include "testing/reserved_port.hpp"

#include <pgcoro/testing/server.hpp>

#include <cstdint>
#include <string>

/// PgBouncer before a private server, on a port of its own; as the server it is gone with this object,
/// however the process ends.
class bouncer
{
public:
    /// `pool_mode` is "session" or "transaction". At most `size` connections to the server.
    bouncer(const pgcoro::testing::server& behind, const std::string& pool_mode, int size = 4);

    /// Over TCP, as the superuser and with the password, with libpq's own parameters only.
    std::string uri() const;
    std::uint16_t port() const noexcept { return port_.number(); }
    /// Cuts all connections.
    void restart();

private:
    void start();

    std::string password_;
    pgcoro::testing::reserved_port port_;
    test::private_program program_;
};
