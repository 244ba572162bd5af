// The multiplexer's body: lock, connections and timer around the core.
#pragma once

#include "multiplexer/connection_worker.hpp"

#include <pgcoro/multiplexer/multiplexer.hpp>

#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

class pool_impl;

class multiplexer_impl : public std::enable_shared_from_this<multiplexer_impl>
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    multiplexer_impl(asio::any_io_executor executor, const pgcoro::pool& connections,
                     multiplexer_options options);

    // Takes the parameters. `timeout` of 0: without a limit. `settings` hold for the statement only; they live until it
    // ends.
    asio::awaitable<result> run(std::string_view sql, params& args, const local_settings& settings, bool read,
                                std::chrono::milliseconds timeout);
    // As a span, which is a child of `parent`.
    asio::awaitable<result> run_traced(std::string_view sql, params& args, const local_settings& settings, bool read,
                                       std::chrono::milliseconds timeout, trace_context parent);
    // Refuses new statements, and tells callers whose statement was not sent yet.
    void close() noexcept;
    // Called by the worker's destructor.
    void destroyed(connection_worker& w) noexcept;

    multiplexer_stats stats() const;

private:
    class leaving;
    using worker_ptr = std::shared_ptr<connection_worker>;
    struct stop_request
    {
        worker_ptr whom; // null: nobody
        std::uint64_t batch = 0;
    };

    std::shared_ptr<known_statement> know(std::string_view sql, std::size_t parameters,
                                          std::unique_lock<std::mutex>& lock);
    std::shared_ptr<pending_statement> ask(std::string_view sql, params& args, const local_settings& settings,
                                           bool read, time_point deadline);
    void leave(pending_statement& s) noexcept;

    asio::awaitable<lease> acquire();
    worker_ptr make_worker();
    std::vector<worker_ptr> make_missing_workers();
    worker_ptr make_exclusive(multiplexer_core::statement_ptr s);
    void start(const std::vector<worker_ptr>& workers);
    asio::awaitable<void> serve_queue(worker_ptr mine);
    asio::awaitable<void> run_exclusive(worker_ptr mine);
    multiplexer_core::step next_step(connection_worker& w, bool again);
    bool start_batch(connection_worker& w);
    bool end_batch(connection_worker& w, const std::exception_ptr& broken);
    void no_connection(connection_worker& w, const std::exception_ptr& why);
    void end_exclusive(connection_worker& w);
    static stop_request request_to_stop(multiplexer_core::worker* w) noexcept;
    static void stop(const stop_request& r);

    void arm(time_point at);
    void disarm_at_rest();
    void on_timer();
    std::exception_ptr overdue(const pending_statement& s) const;
    std::exception_ptr closed(const char* when) const;
    void tell(const multiplexer_core::verdicts& told, const std::exception_ptr& broken,
              const char* closed_when) const;

    const multiplexer_options options_;
    asio::any_io_executor executor_;
    const std::weak_ptr<pool_impl> pool_; // which ends when its users say so
    const std::string pool_name_;
    pgcoro::observer* const observer_;

    mutable std::mutex mutex_; // guards all below; never held over a suspension
    known_statements known_;
    multiplexer_core core_;
    // Owned by what waits for it: it must not outlive its I/O context, and the multiplexer may.
    std::weak_ptr<asio::steady_timer> timer_;
    time_point armed_for_ = time_point::max();
};

} // namespace pgcoro::detail
