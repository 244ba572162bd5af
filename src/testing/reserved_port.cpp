#include "reserved_port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace pgcoro::testing
{

namespace
{

unique_fd reusable_socket(int family)
{
    unique_fd result(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(result.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6) ::setsockopt(result.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    return result;
}

bool bind_loopback4(const unique_fd& socket, std::uint16_t& port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return false;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    return true;
}

bool bind_loopback6(const unique_fd& socket, std::uint16_t port)
{
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

reserved_port::reserved_port()
{
    for (int attempt = 0; attempt < 100; ++attempt) {
        v4_ = reusable_socket(AF_INET);
        if (!bind_loopback4(v4_, number_)) {
            throw std::system_error(errno, std::generic_category(), "cannot bind a port on 127.0.0.1");
        }
        v6_ = reusable_socket(AF_INET6);
        if (bind_loopback6(v6_, number_)) {
            addresses_ = "127.0.0.1,::1";
            return;
        }
        if (errno != EADDRINUSE) { // no IPv6 on this machine
            v6_.reset();
            return;
        }
    }
    throw std::runtime_error("no port that is free on both 127.0.0.1 and ::1 after 100 attempts");
}

} // namespace pgcoro::testing
