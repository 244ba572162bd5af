// What is under way on a session, and asking the server to stop it.
#pragma once

#include "connection/cancel_request.hpp"
#include "connection/one_shot.hpp"
#include "connection/socket_guard.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

namespace pgcoro::detail
{

// Sends requests to stop what runs in a session. It needs nothing of the session, may outlive it, and is used from any
// thread. From the executor that it was made with, whose context must go on running.
class stop_sender
{
public:
    stop_sender(PGconn* conn, asio::any_io_executor executor, cancel_encryption encryption);

    // False if nothing was sent, because it would have been in clear text, and that is not allowed.
    bool send(std::function<void(cancel_result)> on_ended) const;

private:
    const std::shared_ptr<cancel_target> target_;
    const asio::any_io_executor executor_;
    const cancel_encryption encryption_;
};

// A request to stop travels on a connection of its own, so that it may come late: the session must not be used before it
// has ended, or it would stop what comes next.
class stop_requests
{
public:
    // What is under way: nothing; something that is not cancelled from outside; a statement; a statement that the
    // server was asked to stop.
    enum class work : std::uint8_t { none, internal, statement, cancelled_statement };

    // What a request in progress comes to.
    struct pending_request
    {
        std::shared_ptr<one_shot> ended = std::make_shared<one_shot>();
        std::atomic<bool> overdue{false}; // it may still arrive: the session must not be used any more
    };

    // Where a request must not be sent, because it would be in clear text, the connection is cut by its guard instead.
    stop_requests(std::shared_ptr<const stop_sender> sender, std::shared_ptr<socket_guard> guard) noexcept;

    const std::shared_ptr<const stop_sender>& sender() const noexcept { return sender_; }

    // From any thread.
    bool busy() const noexcept { return under_way() != work::none; }
    // From any thread: set once nothing is under way. The last that the end of an operation touches here, unless
    // somebody waits for it: then that one may go on, and destroy the session.
    std::shared_ptr<one_shot> idle_event();

    void begin(work what) noexcept { state_ = static_cast<std::uint8_t>(what); }
    void end() noexcept;

    // Sends a request if a statement is under way. From any thread.
    void cancel();
    // Sends a request, unless one is on its way: a second one would be forgotten. One that has ended may have come
    // before the statement did.
    void request();
    // The request on its way, or that has ended and was not forgotten; null for none.
    const std::shared_ptr<pending_request>& pending() const noexcept { return pending_; }
    void forget() noexcept { pending_.reset(); }

private:
    static constexpr std::uint8_t awaited = 0x80; // somebody waits for the end, by idle_

    work under_way() const noexcept
    {
        return static_cast<work>(state_.load(std::memory_order_relaxed) & ~unsigned{awaited});
    }
    void request_with_lock();

    const std::shared_ptr<const stop_sender> sender_;
    const std::shared_ptr<socket_guard> guard_;
    std::shared_ptr<pending_request> pending_;
    std::shared_ptr<one_shot> idle_;
    // A work, with `awaited`. cancel() changes it and pending_ only together, under the mutex, and only while a statement
    // runs; the session's user reads pending_ without it once the statement has ended.
    std::atomic<std::uint8_t> state_{0};
    std::mutex mutex_;
};

} // namespace pgcoro::detail
