/// A proxy between a client and a PostgreSQL server, which harms connections where a test wants it.
#pragma once

#include <pgcoro/testing/server.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

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

/// Where a server listens on 127.0.0.1, and the superuser's password there.
struct server_socket
{
    std::uint16_t port;
    std::string password;
};
server_socket socket_of(const pgcoro::testing::server& s);

/// Serves each client that connects by a coroutine of its own, until the acceptor is closed.
boost::asio::awaitable<void> serve_clients(
    boost::asio::ip::tcp::acceptor& at,
    std::function<boost::asio::awaitable<void>(boost::asio::ip::tcp::socket)> serve);

/// Listens on its own TCP port, on its own thread. Opens one connection to the server for each connection of
/// a client, without TLS. It leads to the server's TCP port, where a password is needed: a proxy in front of
/// the Unix socket would let every user of the machine in.
class proxy
{
public:
    /// Asked for each message of the client's, once it is complete and before any of it is passed on: type
    /// byte, length and body as in the protocol; the startup message has no type byte. Called on the proxy's
    /// thread. Bytes of the fault count from the message's first, or the first of what the server says then.
    using script = std::function<std::optional<fault>(std::string_view message)>;

    /// `address` is one of 127.0.0.0/8; port 0: a free one.
    proxy(server_socket server, script faults, const std::string& address = "127.0.0.1",
          std::uint16_t port = 0);
    ~proxy();
    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    /// New connections lead to this server. Its password must be the first server's, which `uri()` contains.
    void lead_to(server_socket server);
    /// Returns a URI that leads here, as the superuser.
    std::string uri(std::string_view database = "postgres") const;

private:
    struct link;

    boost::asio::awaitable<void> serve(std::shared_ptr<link> l);
    boost::asio::awaitable<void> to_server(std::shared_ptr<link> l);
    boost::asio::awaitable<void> to_client(std::shared_ptr<link> l);

    boost::asio::io_context io_{1};
    boost::asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_;
    std::uint16_t server_port_;
    std::string password_;
    script faults_;
    std::thread thread_;
};

} // namespace test
