#include "front.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

namespace
{

// The numbers behind a path's first part; nothing when they are not just so many.
std::optional<std::vector<std::int64_t>> numbers_of(std::string_view path, std::string_view begin,
                                                    std::size_t many)
{
    if (!path.starts_with(begin)) return std::nullopt;
    path.remove_prefix(begin.size());
    std::vector<std::int64_t> all;
    while (!path.empty()) {
        auto part = path.substr(0, path.find('/'));
        std::int64_t n = 0;
        auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), n);
        if (failed != std::errc() || end != part.data() + part.size()) return std::nullopt;
        all.push_back(n);
        path.remove_prefix(std::min(part.size() + 1, path.size()));
    }
    if (all.size() != many) return std::nullopt;
    return all;
}

response reply(const request& to, http::status status, const json::object& body)
{
    response r(status, to.version());
    r.set(http::field::content_type, "application/json");
    r.keep_alive(to.keep_alive());
    r.body() = json::serialize(body) + "\n";
    r.prepare_payload();
    return r;
}

asio::awaitable<response> answer(bank& b, const request& r)
{
    std::string_view path(r.target().data(), r.target().size());
    auto one = numbers_of(path, "/accounts/", 1);
    if (one && r.method() == http::verb::get) {
        auto found = co_await b.find(one->at(0));
        if (!found) co_return reply(r, http::status::not_found, {{"error", "no such account"}});
        json::object body{{"id", found->id}, {"owner", found->owner}, {"cents", found->cents}};
        co_return reply(r, http::status::ok, body);
    }
    auto three = numbers_of(path, "/transfers/", 3);
    if (three && r.method() == http::verb::post) {
        auto done = co_await b.transfer(three->at(0), three->at(1), three->at(2));
        if (!done) co_return reply(r, http::status::conflict, {{"error", "too little money"}});
        co_return reply(r, http::status::ok, {{"transferred", three->at(2)}});
    }
    co_return reply(r, http::status::not_found,
                    {{"error", "there are GET /accounts/N and POST /transfers/FROM/TO/CENTS"}});
}

// The database's failures are the service's 503; its log says more than its caller should know.
asio::awaitable<response> answer_or_503(bank& b, const request& r)
{
    std::string failure;
    try {
        auto good = co_await answer(b, r);
        co_return good;
    } catch (const pgcoro::error& e) {
        failure = e.what();
    }
    std::cerr << "service: " << failure << '\n';
    co_return reply(r, http::status::service_unavailable, {{"error", "the database cannot be asked now"}});
}

} // namespace

front::front(asio::any_io_executor executor, bank& of, std::uint16_t port)
    : bank_(of)
    , acceptor_(executor, {asio::ip::address_v4::loopback(), port})
{}

asio::awaitable<void> front::run()
{
    for (;;) {
        auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
        asio::co_spawn(acceptor_.get_executor(), serve(std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> front::serve(asio::ip::tcp::socket socket)
{
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer;
    bool goes_on = true;
    try {
        while (goes_on) {
            stream.expires_after(std::chrono::seconds(30));
            request r;
            co_await http::async_read(stream, buffer, r, asio::use_awaitable);
            auto answered = co_await answer_or_503(bank_, r);
            co_await http::async_write(stream, answered, asio::use_awaitable);
            goes_on = answered.keep_alive();
        }
    } catch (const boost::system::system_error&) { // the client went, or was too slow
    }
}
