#include "integration/support/answer_proxy.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <utility>

namespace test
{

namespace asio = boost::asio;
using asio::ip::tcp;

namespace
{

std::size_t number_at(std::string_view bytes, std::size_t at)
{
    std::size_t n = 0;
    for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(bytes[at + i]);
    return n;
}

// "application_name\0<value>\0" in a startup message.
std::string client_of(std::string_view startup)
{
    constexpr std::string_view key("\0application_name\0", 18);
    auto at = startup.find(key);
    if (at == startup.npos) return {};
    auto value = startup.substr(at + key.size());
    return std::string(value.substr(0, value.find('\0')));
}

std::string fatal_error()
{
    using namespace std::string_literals;
    auto fields = "SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"s;
    auto length = fields.size() + 4;
    std::string message = "E";
    for (int shift : {24, 16, 8, 0}) message += static_cast<char>(length >> shift & 0xff);
    return message + fields;
}

} // namespace

struct answer_proxy::link
{
    tcp::socket client;
    tcp::socket server;
    std::string name;
    bool deaf = false;

    link(tcp::socket c, asio::io_context& io)
        : client(std::move(c))
        , server(io)
    {}

    void close()
    {
        boost::system::error_code ignored;
        client.close(ignored);
        server.close(ignored);
    }
};

answer_proxy::answer_proxy(server_socket server)
    : acceptor_(io_, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0))
    , port_(acceptor_.local_endpoint().port())
    , server_(std::move(server))
{
    auto one = [this](tcp::socket client) { return serve(std::make_shared<link>(std::move(client), io_)); };
    asio::co_spawn(io_, serve_clients(acceptor_, one), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
}

answer_proxy::~answer_proxy()
{
    io_.stop();
    thread_.join();
}

void answer_proxy::arm(const std::string& client, harm what, std::size_t pass)
{
    std::lock_guard lock(mutex_);
    plans_[client] = {what, pass, 0, false};
}

std::size_t answer_proxy::disarm(const std::string& client)
{
    std::lock_guard lock(mutex_);
    auto it = plans_.find(client);
    if (it == plans_.end()) return 0;
    auto counted = it->second.counted;
    plans_.erase(it);
    return counted;
}

bool answer_proxy::harmed(const std::string& client) const
{
    std::lock_guard lock(mutex_);
    auto it = plans_.find(client);
    return it != plans_.end() && it->second.done;
}

answer_proxy::harm answer_proxy::next_message(const std::string& client)
{
    std::lock_guard lock(mutex_);
    auto it = plans_.find(client);
    if (it == plans_.end()) return harm::nothing;
    auto& p = it->second;
    if (p.done && p.what == harm::darkness) return harm::darkness;
    if (p.done) return harm::nothing;
    if (p.counted++ < p.pass || p.what == harm::nothing) return harm::nothing;
    p.done = true;
    return p.what;
}

bool answer_proxy::is_dark(const std::string& client) const
{
    std::lock_guard lock(mutex_);
    auto it = plans_.find(client);
    return it != plans_.end() && it->second.done && it->second.what == harm::darkness;
}

asio::awaitable<void> answer_proxy::serve(std::shared_ptr<link> l)
{
    std::string startup(4, '\0');
    auto [ec, n] =
        co_await asio::async_read(l->client, asio::buffer(startup), asio::as_tuple(asio::deferred));
    if (ec) co_return;
    auto length = number_at(startup, 0);
    if (length < 8 || length > 10'000) co_return;
    startup.resize(length);
    auto rest = asio::buffer(startup) + 4;
    auto [ec2, n2] = co_await asio::async_read(l->client, rest, asio::as_tuple(asio::deferred));
    if (ec2) co_return;
    l->name = client_of(startup);
    auto [ec3] = co_await l->server.async_connect(
        tcp::endpoint(asio::ip::make_address("127.0.0.1"), server_.port), asio::as_tuple(asio::deferred));
    if (ec3) co_return l->close();
    auto [ec4, n4] =
        co_await asio::async_write(l->server, asio::buffer(startup), asio::as_tuple(asio::deferred));
    if (ec4) co_return l->close();
    asio::co_spawn(io_, to_client(l), asio::detached);
    co_await to_server(l);
    l->close();
}

asio::awaitable<void> answer_proxy::to_server(std::shared_ptr<link> l)
{
    std::array<char, 16384> buffer;
    for (;;) {
        auto [ec, n] =
            co_await l->client.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::deferred));
        if (ec) co_return;
        if (l->deaf || is_dark(l->name)) continue;
        auto bytes = asio::buffer(buffer.data(), n);
        auto [ec2, n2] = co_await asio::async_write(l->server, bytes, asio::as_tuple(asio::deferred));
        if (ec2) co_return;
    }
}

asio::awaitable<void> answer_proxy::to_client(std::shared_ptr<link> l)
{
    std::array<char, 16384> buffer;
    std::string unread;
    for (;;) {
        auto [ec, n] =
            co_await l->server.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::deferred));
        if (ec && l->deaf) co_return; // the client is not to see that the server left
        if (ec) co_return l->close();
        if (l->deaf) continue;
        unread.append(buffer.data(), n);
        std::string passed;
        while (unread.size() >= 5 && !l->deaf) {
            auto length = 1 + number_at(unread, 1);
            if (unread.size() < length) break;
            auto what = next_message(l->name);
            if (what == harm::nothing) {
                passed += unread.substr(0, length);
                unread.erase(0, length);
                continue;
            }
            if (what == harm::fatal) passed += fatal_error();
            if (what == harm::cut) unread.clear();
            l->deaf = true;
            if (what != harm::cut) continue;
            auto bytes = asio::buffer(passed);
            co_await asio::async_write(l->client, bytes, asio::as_tuple(asio::deferred));
            co_return l->close();
        }
        auto bytes = asio::buffer(passed);
        auto [ec2, n2] = co_await asio::async_write(l->client, bytes, asio::as_tuple(asio::deferred));
        if (ec2) co_return l->close();
    }
}

} // namespace test
