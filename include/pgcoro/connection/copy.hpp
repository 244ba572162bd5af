// COPY as copy_in and copy_out use it. Not for users.
#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{
namespace detail
{

class copy_channel;
struct copy_channel_deleter
{
    void operator()(copy_channel* c) const noexcept;
};

// One COPY under way. It holds its session until it has ended; destroyed earlier, it stops it.
class copy_operation
{
public:
    explicit copy_operation(statement_host& host);

    // Sends "COPY … FROM STDIN" or "… TO STDOUT".
    boost::asio::awaitable<void> begin(std::string sql);

    // Into the server. False when it has refused already: then only finish() makes sense, which throws.
    boost::asio::awaitable<bool> send(std::string_view bytes);
    // The end of the data. Gives the number of rows.
    boost::asio::awaitable<std::uint64_t> finish();
    // Has the server forget the rows so far, because of what the caller then throws; gives that.
    boost::asio::awaitable<std::exception_ptr> give_up(std::exception_ptr why);

    // Out of the server: the next row, or header or trailer, valid until the next call; nothing at the end.
    boost::asio::awaitable<std::optional<std::string_view>> receive();

private:
    owned<copy_channel, copy_channel_deleter> channel_;
};

} // namespace detail
} // namespace pgcoro
