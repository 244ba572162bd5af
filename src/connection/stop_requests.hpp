// The operation in progress on a session, and the cancel requests for it.
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

// Sends cancel requests for a session. It may outlive the session. From any thread. Requests run on the executor given to
// the constructor, whose context must go on running.
class stop_sender
{
public:
    stop_sender(PGconn* conn, asio::any_io_executor executor, cancel_encryption encryption);

    // Returns false if never() is on, or if the options forbid the request because it would travel in clear text.
    bool send(std::function<void(cancel_result)> on_ended) const;
    // While this is on, no request is sent.
    void never(bool on) noexcept { never_ = on; }
    bool is_never() const noexcept { return never_; }

private:
    const std::shared_ptr<cancel_target> target_;
    const asio::any_io_executor executor_;
    const cancel_encryption encryption_;
    std::atomic<bool> never_{false};
};

// A cancel request travels on its own connection, so that it may arrive late. The session must not be used before the
// request has ended, or the request could stop the next statement.
class stop_requests
{
public:
    // The operation in progress: none; an internal one, which is not cancelled from outside; a statement; a statement with
    // a cancel request.
    enum class work : std::uint8_t { none, internal, statement, cancelled_statement };

    // A cancel request.
    struct pending_request
    {
        std::shared_ptr<one_shot> ended = std::make_shared<one_shot>();
        std::atomic<bool> overdue{false}; // it may still arrive: the session must be closed
    };

    // If the sender refuses a request, the guard cuts the connection instead.
    stop_requests(std::shared_ptr<stop_sender> sender, std::shared_ptr<socket_guard> guard) noexcept;

    std::shared_ptr<const stop_sender> sender() const noexcept { return sender_; }
    // See session::never_cancel().
    void never(bool on) noexcept { sender_->never(on); }

    // From any thread.
    bool busy() const noexcept { return under_way() != work::none; }
    // Returns an event that is set when no operation is in progress. Its waiter may then destroy the session. From any
    // thread.
    std::shared_ptr<one_shot> idle_event();

    void begin(work what) noexcept { state_ = static_cast<std::uint8_t>(what); }
    void end() noexcept;

    // Sends a request if a statement is in progress, and never() is not on. From any thread.
    void cancel();
    // Sends a request, unless one is in progress. An earlier request may have arrived before the statement.
    void request();
    // The last request that was not forgotten, in progress or ended; null if there is none.
    const std::shared_ptr<pending_request>& pending() const noexcept { return pending_; }
    void forget() noexcept { pending_.reset(); }

private:
    static constexpr std::uint8_t awaited = 0x80; // idle_ has a waiter

    work under_way() const noexcept
    {
        return static_cast<work>(state_.load(std::memory_order_relaxed) & ~unsigned{awaited});
    }
    void request_with_lock();

    const std::shared_ptr<stop_sender> sender_;
    const std::shared_ptr<socket_guard> guard_;
    std::shared_ptr<pending_request> pending_;
    std::shared_ptr<one_shot> idle_;
    // A `work`, combined with `awaited`. cancel() changes state_ and pending_ together, with the mutex locked, and only
    // while a statement runs. The session's user reads pending_ without the mutex after the statement.
    std::atomic<std::uint8_t> state_{0};
    std::mutex mutex_;
};

} // namespace pgcoro::detail
