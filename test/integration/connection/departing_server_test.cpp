#include "integration/connection/support.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>

#include <array>
#include <thread>

using pgcoro::connection_failure;
using pgcoro::connection_options;

BOOST_AUTO_TEST_SUITE(departing_server)

// What a server does that is just shutting down: it accepted, and is gone before it has said anything.
BOOST_AUTO_TEST_CASE(a_server_that_hangs_up_on_the_request_for_tls_is_lost_and_worth_another_try)
{
    asio::io_context io;
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::make_address("127.0.0.1"), 0});
    auto port = acceptor.local_endpoint().port();
    std::jthread server([&] {
        auto client = acceptor.accept();
        std::array<char, 8> request_for_tls;
        asio::read(client, asio::buffer(request_for_tls));
    });
    auto e = connect_failure(connection_options::from_uri("postgresql://u@127.0.0.1:" + std::to_string(port) +
                                                          "/d?sslmode=prefer&gssencmode=disable"));
    BOOST_TEST((e.why() == connection_failure::lost), e.what());
    BOOST_TEST(e.is_transient());
}

BOOST_AUTO_TEST_SUITE_END()
