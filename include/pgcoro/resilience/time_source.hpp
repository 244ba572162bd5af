#pragma once

#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace PGCORO_API pgcoro
{

/// What says the time and lets time pass. There is one for real, steady(); tests put in one of their own, so
/// that no test waits. An implementation may be asked from several threads at once.
class time_source
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using duration = std::chrono::nanoseconds;

    virtual ~time_source();

    virtual time_point now() const noexcept = 0;

    /// Lets the caller wait on its own executor, not at all for zero or less. A cancelled wait throws
    /// `boost::system::system_error` with `operation_aborted`.
    virtual boost::asio::awaitable<void> sleep_for(duration time) = 0;

    /// The steady clock and Asio's timers.
    static time_source& steady() noexcept;
};

} // namespace pgcoro
