#pragma once

#include "host.hpp"
#include "wall_clock.hpp"

#include <pgcoro/pgcoro.hpp>

#include <atomic>
#include <cstdint>
#include <string>

namespace chaos
{

/// A primary and its replica, and what stands between them and the layer.
class world
{
public:
    explicit world(std::uint32_t seed);

    host& primary() { return primary_is_first_ ? first_ : second_; }
    host& replica() { return primary_is_first_ ? second_ : first_; }
    /// The replica was promoted.
    void change_roles() noexcept { primary_is_first_ = !primary_is_first_; }
    /// How a new replica of the present primary is set up.
    pgcoro::testing::server_options replica_options();

    void set(weather w) noexcept { weather_ = w; }
    const wall_clock& clock() const noexcept { return clock_; }

    /// Where a listener connects: to whichever takes writes.
    pgcoro::connection_options writable();
    pgcoro::cluster_options cluster_options();
    /// The layer's connections at both servers.
    std::size_t sessions();

    /// What the layer calls itself at the servers.
    static constexpr const char* application = "pgcoro_chaos";

private:
    pgcoro::connection_options connecting();

    std::atomic<weather> weather_ = weather::fair;
    wall_clock clock_;
    bool primary_is_first_ = true;
    host first_;
    host second_;
};

} // namespace chaos
