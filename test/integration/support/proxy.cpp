#include "integration/support/proxy.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace test
{

namespace asio = boost::asio;
using asio::ip::tcp;

struct proxy::link : std::enable_shared_from_this<proxy::link>
{
    tcp::socket client;
    tcp::socket server;
    std::string pending; // of the client's, not yet a whole message
    bool started = false;
    bool deaf = false; // swallows all
    std::optional<fault> next;
    std::chrono::steady_clock::time_point slow_until{};

    link(tcp::socket c, asio::io_context& io)
        : client(std::move(c))
        , server(io)
    {}

    void close(bool hard)
    {
        boost::system::error_code ignored;
        if (hard) client.set_option(asio::socket_base::linger(true, 0), ignored);
        client.close(ignored);
        server.close(ignored);
    }

    // The length of the first message in `pending`; 0 when it is not complete.
    std::size_t message() const
    {
        std::size_t header = started ? 1 : 0;
        if (pending.size() < header + 4) return 0;
        std::size_t length = 0;
        for (std::size_t i = 0; i < 4; ++i)
            length = length << 8 | static_cast<unsigned char>(pending[header + i]);
        return pending.size() < header + length ? 0 : header + length;
    }
};

namespace
{

asio::awaitable<void> wait(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::as_tuple(asio::deferred));
}

template <class Link>
asio::awaitable<void> forget(std::shared_ptr<Link> l, std::chrono::milliseconds after)
{
    co_await wait(after);
    l->close(true);
}

// Passes the bytes on, as far as the link's fault lets it; false when the link is at its end.
template <class Link, class Socket>
asio::awaitable<bool> pass(Link& l, fault::direction way, Socket& to, std::string_view bytes)
{
    while (!bytes.empty() || (l.next && l.next->where == way && l.next->after == 0)) {
        if (l.deaf) co_return true;
        auto now = bytes;
        if (l.next && l.next->where == way) now = bytes.substr(0, l.next->after);
        bool slow = std::chrono::steady_clock::now() < l.slow_until;
        if (slow) now = now.substr(0, fault::throttled_bytes);
        if (slow && !now.empty()) co_await wait(fault::throttled_pause);
        if (!now.empty()) {
            auto [ec, n] = co_await asio::async_write(to, asio::buffer(now), asio::as_tuple(asio::deferred));
            if (ec) co_return false;
            bytes.remove_prefix(now.size());
        }
        if (!l.next || l.next->where != way) continue;
        l.next->after -= now.size();
        if (l.next->after > 0) continue;
        auto harm = *std::exchange(l.next, std::nullopt);
        switch (harm.what) {
        case fault::cut:
        case fault::reset:
            l.close(harm.what == fault::reset);
            co_return false;
        case fault::drop:
            l.deaf = true;
            if (harm.time.count() > 0)
                asio::co_spawn(co_await asio::this_coro::executor, forget(l.shared_from_this(), harm.time),
                               asio::detached);
            co_return true;
        case fault::delay:
            co_await wait(harm.time);
            break;
        case fault::throttle:
            l.slow_until = std::chrono::steady_clock::now() + harm.time;
        }
    }
    co_return true;
}

} // namespace

asio::awaitable<void> serve_clients(tcp::acceptor& at, std::function<asio::awaitable<void>(tcp::socket)> serve)
{
    for (;;) {
        auto [ec, client] = co_await at.async_accept(asio::as_tuple(asio::deferred));
        if (ec) co_return;
        boost::system::error_code ignored;
        client.set_option(tcp::no_delay(true), ignored);
        asio::co_spawn(at.get_executor(), serve(std::move(client)), asio::detached);
    }
}

server_socket socket_of(const pgcoro::testing::server& s) { return {s.port(), s.password()}; }

proxy::proxy(server_socket server, script faults, const std::string& address, std::uint16_t port)
    : acceptor_(io_, tcp::endpoint(asio::ip::make_address(address), port))
    , port_(acceptor_.local_endpoint().port())
    , server_port_(server.port)
    , password_(std::move(server.password))
    , faults_(std::move(faults))
{
    auto one = [this](tcp::socket client) { return serve(std::make_shared<link>(std::move(client), io_)); };
    asio::co_spawn(io_, serve_clients(acceptor_, one), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
}

proxy::~proxy()
{
    io_.stop();
    thread_.join();
}

void proxy::lead_to(server_socket server)
{
    asio::post(io_, [this, port = server.port] { server_port_ = port; });
}

std::string proxy::uri(std::string_view database) const
{
    return "postgresql://postgres:" + password_ + "@127.0.0.1:" + std::to_string(port_) + "/" +
           std::string(database) + "?sslmode=disable&gssencmode=disable";
}

asio::awaitable<void> proxy::serve(std::shared_ptr<link> l)
{
    tcp::endpoint there(asio::ip::address_v4::loopback(), server_port_);
    auto [ec] = co_await l->server.async_connect(there, asio::as_tuple(asio::deferred));
    if (ec) {
        l->close(false);
        co_return;
    }
    boost::system::error_code ignored;
    l->server.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(io_, to_client(l), asio::detached);
    co_await to_server(l);
    l->close(false);
}

asio::awaitable<void> proxy::to_server(std::shared_ptr<link> l)
{
    std::array<char, 16384> buffer;
    for (;;) {
        auto [ec, n] =
            co_await l->client.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::deferred));
        if (ec) co_return;
        l->pending.append(buffer.data(), n);
        while (auto size = l->message()) {
            std::string message = l->pending.substr(0, size);
            l->pending.erase(0, size);
            l->started = true;
            if (!l->next && !l->deaf) l->next = faults_(message);
            bool open = co_await pass(*l, fault::to_server, l->server, message);
            if (!open) co_return;
            // None of the answer is to come, not even when there is none for long.
            open = co_await pass(*l, fault::to_client, l->client, {});
            if (!open) co_return;
        }
    }
}

asio::awaitable<void> proxy::to_client(std::shared_ptr<link> l)
{
    std::array<char, 16384> buffer;
    for (;;) {
        auto [ec, n] =
            co_await l->server.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::deferred));
        if (ec) break;
        bool open = co_await pass(*l, fault::to_client, l->client, std::string_view(buffer.data(), n));
        if (!open) break;
    }
    l->close(false);
}

} // namespace test
