#include "cache/redis/link.hpp"

#include "connection/name_lookup.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <hiredis/hiredis.h>

#include <array>
#include <vector>

namespace pgcoro::detail
{

namespace asio = boost::asio;
using asio::use_awaitable;

namespace
{

namespace errc = boost::system::errc;

[[noreturn]] void fail(errc::errc_t why, const std::string& what)
{
    throw boost::system::system_error(errc::make_error_code(why), what);
}

// Returns the host's addresses; the host itself if it is an address. Does not use Asio's resolver: a name that hangs would
// block its only thread, and the I/O context waits for that thread when it is destroyed.
asio::awaitable<std::vector<std::string>> addresses_of(const std::string& host, clock::time_point until)
{
    boost::system::error_code not_an_address;
    asio::ip::make_address(host, not_an_address);
    if (!not_an_address) co_return std::vector{host};
    try {
        auto found = co_await look_up(host, until);
        co_return found;
    } catch (const connection_error& e) {
        bool late = e.why() == connection_failure::timeout;
        throw boost::system::system_error(late ? asio::error::timed_out : asio::error::host_unreachable,
                                          host + ": " + e.message());
    }
}

struct free_reply
{
    void operator()(redisReply* r) const noexcept { freeReplyObject(r); }
};

} // namespace

std::string redis_command_of(std::span<const std::string_view> words)
{
    std::string text = '*' + std::to_string(words.size()) + "\r\n";
    for (auto w : words) text.append('$' + std::to_string(w.size()) + "\r\n").append(w).append("\r\n");
    return text;
}

redis_link::redis_link(const asio::any_io_executor& executor, std::size_t most_bytes)
    : socket_(executor)
    , reader_(redisReaderCreate())
    , most_bytes_(most_bytes)
{
    if (!reader_) throw std::bad_alloc();
}

asio::awaitable<void> redis_link::connect(const redis_instance& to, clock::time_point until)
{
    if (!to.socket.empty()) {
        asio::local::stream_protocol::endpoint there(to.socket);
        co_await socket_.async_connect(there, use_awaitable);
    } else {
        co_await connect_by_name(to, until);
        socket_.set_option(asio::ip::tcp::no_delay(true));
    }
    if (!to.password.empty()) {
        auto words = to.user.empty() ? redis_command("AUTH", to.password)
                                     : redis_command("AUTH", to.user, to.password);
        co_await expect_ok(std::move(words), "AUTH");
    }
    if (to.database != 0) co_await expect_ok(redis_command("SELECT", std::to_string(to.database)), "SELECT");
}

asio::awaitable<void> redis_link::connect_by_name(const redis_instance& to, clock::time_point until)
{
    auto found = co_await addresses_of(to.host, until);
    std::exception_ptr failure;
    for (auto& address : found) {
        // close() was called, and would not end a connect that begins now.
        if (clock::now() >= until) throw boost::system::system_error(asio::error::timed_out, "connecting");
        try {
            socket_ = asio::generic::stream_protocol::socket(socket_.get_executor());
            asio::ip::tcp::endpoint there(asio::ip::make_address(address), to.port);
            co_await socket_.async_connect(there, use_awaitable);
            co_return;
        } catch (const boost::system::system_error&) {
            failure = std::current_exception();
        }
    }
    std::rethrow_exception(failure); // there was an address, or the look-up had failed
}

asio::awaitable<void> redis_link::expect_ok(std::string command, const char* tried)
{
    auto reply = co_await exchange(command);
    if (reply.refused) fail(errc::permission_denied, std::string(tried) + ": " + reply.value.value_or(""));
}

asio::awaitable<redis_reply> redis_link::exchange(std::string_view command)
{
    co_await asio::async_write(socket_, asio::buffer(command), use_awaitable);
    std::array<char, 16'384> chunk;
    std::size_t bytes = 0;
    for (;;) {
        auto n = co_await socket_.async_read_some(asio::buffer(chunk), use_awaitable);
        bytes += n;
        if (bytes > most_bytes_) fail(errc::message_size, "an answer of more than max_value_bytes");
        void* got = nullptr;
        if (redisReaderFeed(reader_.get(), chunk.data(), n) != REDIS_OK ||
            redisReaderGetReply(reader_.get(), &got) != REDIS_OK)
            fail(errc::protocol_error, std::string("not Redis' protocol: ") + reader_->errstr);
        if (!got) continue;
        std::unique_ptr<redisReply, free_reply> owned(static_cast<redisReply*>(got));
        redis_reply reply;
        reply.refused = owned->type == REDIS_REPLY_ERROR;
        bool text = owned->type == REDIS_REPLY_STRING || owned->type == REDIS_REPLY_STATUS;
        if (text || reply.refused) reply.value.emplace(owned->str, owned->len);
        co_return reply;
    }
}

void redis_link::close() noexcept
{
    boost::system::error_code ignored;
    socket_.close(ignored);
}

} // namespace pgcoro::detail
