// A limit to what is done with a socket.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>

namespace pgcoro::detail
{

// While it lives: when the time is over, what waits for the socket ends with operation_aborted. The socket
// stays open, so that its peer can be told. All of it on the socket's own strand.
class time_limit
{
public:
    time_limit(boost::asio::ip::tcp::socket& socket, std::chrono::milliseconds within)
        : state_(std::make_shared<state>())
        , timer_(socket.get_executor(), within)
    {
        timer_.async_wait([s = state_, &socket](const boost::system::error_code& failed) {
            if (failed || s->gone) return;
            s->over = true;
            boost::system::error_code ignored;
            socket.cancel(ignored);
        });
    }
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;
    ~time_limit() { state_->gone = true; }

    bool over() const noexcept { return state_->over; }

private:
    struct state
    {
        bool over = false;
        bool gone = false;
    };
    std::shared_ptr<state> state_;
    boost::asio::steady_timer timer_;
};

} // namespace pgcoro::detail
