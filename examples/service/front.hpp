// The service's own HTTP: GET /accounts/N, and POST /transfers/FROM/TO/CENTS.
#pragma once

#include "bank.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

class front
{
public:
    front(boost::asio::any_io_executor executor, bank& of, std::uint16_t port);

    boost::asio::awaitable<void> run();
    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

private:
    boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket);

    bank& bank_;
    boost::asio::ip::tcp::acceptor acceptor_;
};
