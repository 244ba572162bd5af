#pragma once

#include "integration/support/private_program.hpp"
#include "testing/reserved_port.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace test
{

/// A real HAProxy with an address that leads to the primary and one that leads to the replicas, as
/// docs/cluster.md has it: each server is asked over HTTP for its role.
class haproxy
{
public:
    struct server
    {
        std::uint16_t port;
        std::uint16_t role_port; ///< where /primary and /replica answer 200 or something else
    };

    static bool installed() { return !test::installed("haproxy").empty(); }

    /// Asks each server for its role every `check_ms`.
    haproxy(const std::vector<server>& behind, int check_ms);

    std::uint16_t to_primary() const noexcept { return primary_.number(); }
    std::uint16_t to_replicas() const noexcept { return replicas_.number(); }

private:
    pgcoro::testing::reserved_port primary_;
    pgcoro::testing::reserved_port replicas_;
    private_program program_;
};

} // namespace test
