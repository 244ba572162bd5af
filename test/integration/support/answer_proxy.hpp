/// A proxy between a client and a PostgreSQL server, which harms a client's connections at the n-th message
/// of the server.
#pragma once

#include "integration/support/proxy.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace test
{

/// Listens on a free TCP port, and runs on a private thread. It recognises a client by its application_name.
/// Requests to cancel pass unharmed. All functions may be called from any thread.
class answer_proxy
{
public:
    enum class harm {
        nothing,
        silence,  ///< that connection stays open, and nothing passes any more in either direction
        darkness, ///< the same for all connections of that client, new ones included
        cut,      ///< the connection is closed
        fatal,    ///< the client receives a FATAL error, 57P01; then as silence
    };

    /// In front of the server's TCP port.
    explicit answer_proxy(server_socket server);
    ~answer_proxy();
    answer_proxy(const answer_proxy&) = delete;
    answer_proxy& operator=(const answer_proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// Counts the messages of the server to this client from now on. Once `pass` of them have passed, the
    /// harm is done, once, instead of passing the next one.
    void arm(const std::string& client, harm what, std::size_t pass);
    /// Ends counting; new connections pass again. Returns how many messages were counted, the one that was
    /// harmed included.
    std::size_t disarm(const std::string& client);
    /// True if the harm was done since arm().
    bool harmed(const std::string& client) const;

private:
    struct link;
    struct plan
    {
        harm what = harm::nothing;
        std::size_t pass = 0;
        std::size_t counted = 0;
        bool done = false;
    };

    harm next_message(const std::string& client);
    bool is_dark(const std::string& client) const;
    boost::asio::awaitable<void> serve(std::shared_ptr<link> l);
    boost::asio::awaitable<void> to_server(std::shared_ptr<link> l);
    boost::asio::awaitable<void> to_client(std::shared_ptr<link> l);

    boost::asio::io_context io_{1};
    boost::asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_;
    server_socket server_;
    mutable std::mutex mutex_;
    std::map<std::string, plan, std::less<>> plans_;
    std::thread thread_;
};

} // namespace test
