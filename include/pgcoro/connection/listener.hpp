#pragma once

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/resilience/backoff.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How a listener keeps its connection.
struct listener_options
{
    /// The waits between attempts to connect again.
    backoff reconnect = backoff::exponential(std::chrono::milliseconds(100), std::chrono::seconds(10));
    /// After so long without a notification the connection is checked by a round trip, because a peer that
    /// silently went away says nothing. At least 1 ms.
    std::chrono::milliseconds ping_every{30'000};
};

/// Notifications of some channels, on a connection of its own that is made again when it is lost.
///
/// ```cpp
/// pgcoro::listener changes(options, {"account_changed"});
/// for (;;) {
///     auto n = co_await changes.next();
///     if (n.gap) forget_everything(); // what was sent while there was no connection is lost
///     else forget(n.payload);
/// }
/// ```
/// **Threads:** one coroutine at a time. **Lifetime:** not beyond the I/O context that it was last used on.
class listener
{
public:
    /// Connects with the first next(). Throws `std::invalid_argument` for options out of their range.
    listener(connection_options options, std::vector<std::string> channels,
             listener_options keeping = listener_options());

    /// The next notification; after a lost connection is back, and listens, first one whose `gap` is true.
    /// Waits as long as it takes, also for a server that is away. Throws `connection_error` where waiting
    /// does not mend it (wrong password …), and `server_error` when the server refuses to listen, as a
    /// standby does; the next call tries again. Cancellation: any kind; no notification is lost.
    boost::asio::awaitable<notification> next();

    /// Connected, and listening?
    bool is_connected() const noexcept { return connection_ && connection_->is_open(); }
    /// The server process that sends, 0 while there is none.
    int backend_pid() const noexcept { return connection_ ? connection_->backend_pid() : 0; }

private:
    boost::asio::awaitable<void> connect();

    connection_options options_;
    std::vector<std::string> channels_;
    listener_options keeping_;
    std::optional<connection> connection_;
    bool was_connected_ = false;
};

} // namespace pgcoro
