// One connection of the monitor's: requests and answers in turn, or events.
#pragma once

#include "monitor/seating.hpp"
#include "monitor/watched.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <atomic>
#include <optional>
#include <string>

namespace pgcoro::detail
{

// What all connections share.
struct house
{
    watched& known;
    const monitor_options& options;
    admission who;
    shared_seating& seats;
    std::atomic<std::size_t> streams{0};
};

class conversation
{
public:
    conversation(boost::asio::ip::tcp::socket socket, house& in, seating::id seat)
        : socket_(std::move(socket))
        , in_(in)
        , seat_(seat)
    {}

    // Until either side has enough. What the peer does wrong, or that it goes, is no failure.
    boost::asio::awaitable<void> run();

private:
    boost::asio::awaitable<bool> begins();
    boost::asio::awaitable<std::optional<http_request>> read(std::optional<answer>& refusal);
    boost::asio::awaitable<answer> ask(const api_call& c);
    boost::asio::awaitable<bool> write(const answer& a, const http_request& to);
    boost::asio::awaitable<bool> write_text(const std::string& text);
    boost::asio::awaitable<void> close();
    boost::asio::awaitable<void> tell_events();
    void check_crowd() const;
    void is(seating::state now) { in_.seats.change(seat_, now); }

    boost::asio::ip::tcp::socket socket_;
    house& in_;
    const seating::id seat_;
    boost::beast::flat_buffer buffer_;
};

} // namespace pgcoro::detail
