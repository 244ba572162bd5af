#pragma once

#include "process.hpp"

#include <cstdint>
#include <string>

namespace pgcoro::testing
{

/// A port on the loopback addresses, chosen by the kernel and kept from others for as long as this object
/// lives.
///
/// It is bound but never listens. With SO_REUSEADDR on both sides Linux lets the server bind and listen
/// beside it, while nobody else gets the port, also when the server is down for a while.
class reserved_port
{
public:
    reserved_port();

    std::uint16_t number() const noexcept { return number_; }

    /// The addresses it is reserved on, as `listen_addresses` takes them.
    const std::string& addresses() const noexcept { return addresses_; }

private:
    unique_fd v4_;
    unique_fd v6_;
    std::uint16_t number_ = 0;
    std::string addresses_ = "127.0.0.1";
};

} // namespace pgcoro::testing
