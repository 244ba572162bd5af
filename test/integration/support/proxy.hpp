/// A proxy between a client and a PostgreSQL server, which harms connections where a test wants it.
#pragma once

#include <pgcoro/testing/server.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace test
{

/// What is to happen to a connection, and when.
struct fault
{
    static constexpr std::size_t throttled_bytes = 256;
    static constexpr std::chrono::milliseconds throttled_pause{10};

    enum direction { to_server, to_client };
    enum action {
        cut,      ///< both ends are closed
        reset,    ///< the client's end is closed with RST, the server's as by a crash of the client
        drop,     ///< from there on bytes are swallowed in both directions, and nothing is closed
        delay,    ///< that byte, and those behind it, come later by `time`; nothing else happens
        throttle, ///< for `time` no more than `throttled_bytes` pass each `throttled_pause`, in both
                  ///< directions
    };

    direction where = to_server;
    std::size_t after = 0; ///< so many more bytes pass that way
    action what = cut;
    /// Of `drop`: the connection is reset after so long, as by a firewall that has forgotten it; 0: never.
    std::chrono::milliseconds time{0};
};

/// The server's Unix socket, for a proxy to lead to.
std::string socket_of(const pgcoro::testing::server& s);

/// Listens on a TCP port of its own, on a thread of its own. One connection of the server for each of the
/// client's, without TLS.
class proxy
{
public:
    /// Asked for each message of the client's, once it is complete and before any of it is passed on: type
    /// byte, length and body as in the protocol; the startup message has no type byte. Called on the proxy's
    /// thread. Bytes of the fault count from the message's first, or the first of what the server says then.
    using script = std::function<std::optional<fault>(std::string_view message)>;

    /// In front of the server's Unix socket. `address` is one of 127.0.0.0/8; port 0: a free one.
    proxy(std::string server_socket, script faults, const std::string& address = "127.0.0.1",
          std::uint16_t port = 0);
    ~proxy();
    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    /// From now on new connections lead to this server's Unix socket.
    void lead_to(std::string server_socket);
    /// Parameters for libpq that lead here.
    std::string uri(std::string_view database = "postgres", std::string_view user = "postgres") const;

private:
    struct link;

    boost::asio::awaitable<void> listen();
    boost::asio::awaitable<void> serve(std::shared_ptr<link> l);
    boost::asio::awaitable<void> to_server(std::shared_ptr<link> l);
    boost::asio::awaitable<void> to_client(std::shared_ptr<link> l);

    boost::asio::io_context io_{1};
    boost::asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_;
    std::string server_;
    script faults_;
    std::thread thread_;
};

} // namespace test
