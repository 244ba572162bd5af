// One connection to an instance. Used by one coroutine at a time, on its executor.
#pragma once

#include "connection/clock.hpp"

#include <pgcoro/cache/redis.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <hiredis/read.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// What Redis answered: a value, nothing, or an error of its own.
struct redis_reply
{
    std::optional<std::string> value; // also of a status, as "OK"
    bool refused = false;             // then the value is the error's text
};

// The protocol's form of a command: RESP, "Redis serialization protocol specification".
std::string redis_command_of(std::span<const std::string_view> words);
template <class... Word>
std::string redis_command(const Word&... words)
{
    const std::string_view all[] = {words...};
    return redis_command_of(all);
}

class redis_link
{
public:
    redis_link(const boost::asio::any_io_executor& executor, std::size_t most_bytes);

    // Errors, here and below: `boost::system::system_error`, after which it is of no use any more.
    // Ends the look-up of a host name at `until`, and connects to no further address after it. close() ends a connect.
    boost::asio::awaitable<void> connect(const redis_instance& to, clock::time_point until);
    boost::asio::awaitable<redis_reply> exchange(std::string_view command);
    // Ends what is under way with operation_aborted.
    void close() noexcept;

private:
    boost::asio::awaitable<void> connect_by_name(const redis_instance& to, clock::time_point until);
    boost::asio::awaitable<void> expect_ok(std::string command, const char* tried);

    struct free_reader
    {
        void operator()(redisReader* r) const noexcept { redisReaderFree(r); }
    };

    boost::asio::generic::stream_protocol::socket socket_;
    std::unique_ptr<redisReader, free_reader> reader_;
    std::size_t most_bytes_;
};

} // namespace pgcoro::detail
