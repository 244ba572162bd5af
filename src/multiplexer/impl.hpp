// The multiplexer's body: the queue, and the connections that work on it.
#pragma once

#include "multiplexer/lane.hpp"

#include <pgcoro/multiplexer/multiplexer.hpp>

#include <boost/asio/steady_timer.hpp>

#include <mutex>

namespace pgcoro::detail
{

class multiplexer_impl : public std::enable_shared_from_this<multiplexer_impl>
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    multiplexer_impl(asio::any_io_executor executor, pgcoro::pool& connections, multiplexer_options options);

    // Takes the parameters.
    asio::awaitable<result> run(std::string_view sql, params& args, bool read,
                                std::chrono::milliseconds timeout);
    // As a span, which is a child of that one.
    asio::awaitable<result> run_traced(std::string_view sql, params& args, bool read,
                                       std::chrono::milliseconds timeout, trace_context parent);
    // Nobody can ask for anything any more.
    void close() noexcept;

    const multiplexer_options& options() const noexcept { return options_; }
    multiplexer_stats stats() const;

private:
    class leaving;
    class sharing;
    enum class ahead { work, look_again, end };

    std::shared_ptr<call> ask(std::string_view sql, params& args, bool read, time_point deadline);
    void leave(call& c) noexcept;
    asio::awaitable<result> run_apart(std::shared_ptr<known_statement> known, const params& args, bool read,
                                      time_point deadline);

    void start(std::size_t lanes);
    asio::awaitable<void> work(std::shared_ptr<lane> mine);
    ahead look(bool again);
    std::size_t give(lane& to, connection& on);
    void take_back(lane& from, const std::exception_ptr& lost);
    void no_connection(const std::exception_ptr& why);

    std::shared_ptr<call> dequeue(call& c) noexcept;
    std::size_t missing_lanes() noexcept;
    void abandon(call& c) noexcept;
    void arm(time_point at);
    void on_timer();
    std::exception_ptr overdue(const call& c) const;

    const multiplexer_options options_;
    asio::any_io_executor executor_;
    pgcoro::pool& pool_;

    mutable std::mutex mutex_; // guards all below; never held over a suspension
    known_statements known_;
    boost::intrusive::list<call> queue_;
    boost::intrusive::list<lane> running_;
    std::size_t lanes_ = 0; // those that run, and those that look for something to do
    bool closed_ = false;
    asio::steady_timer timer_;
    time_point armed_for_ = time_point::max();
    multiplexer_stats counters_;
};

} // namespace pgcoro::detail
