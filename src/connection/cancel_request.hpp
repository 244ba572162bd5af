// Asking a server to stop the statement that runs in a session.
#pragma once

#include <pgcoro/connection/options.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <libpq-fe.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

namespace pgcoro::detail
{

namespace asio = boost::asio;

// What a cancel request needs to know of a connection: where its server is, and the key of its session. It
// outlives the connection, so that a statement whose client is gone can still be stopped.
class cancel_target
{
public:
    // From the thread that uses `conn`, which must be open. Throws std::bad_alloc.
    explicit cancel_target(PGconn* conn);
    cancel_target(const cancel_target&) = delete;
    cancel_target& operator=(const cancel_target&) = delete;
    ~cancel_target();

    // May a request be sent? False if the connection is encrypted, a request would be in clear text, and that
    // is not allowed: the connection has to be cut instead.
    bool allows(cancel_encryption encryption) const noexcept;

private:
    friend class cancel_request;

#ifdef LIBPQ_HAS_ASYNC_CANCEL
    PGcancelConn* conn_;
#else
    PGcancel* key_;
#endif
    bool encrypted_;
    std::atomic<bool> busy_{false};
};

enum class cancel_result {
    delivered, // the server has taken the request
    failed,    // it did not reach the server, or another request for the same session is under way
    overdue,   // the server did not take it in time. It may still arrive, and stop whatever runs then: the
               // session must not be used any more
};

// A cancel request on its way. It needs nothing of the session and may outlive it. From any thread.
//
// With libpq 17 and later it runs asynchronously on its executor, on a connection of its own that is
// encrypted as the session's. With older ones PQcancel() runs on a helper thread, in clear text, and without
// a time limit: whoever waits for the end must have one.
class cancel_request : public std::enable_shared_from_this<cancel_request>
{
public:
    // The time that a request has with libpq 17 and later.
    static constexpr std::chrono::seconds default_limit{10};

    // Sends a request. Calls `on_ended` once, on any thread, possibly before this returns; never if the
    // executor's context ends before. `on_ended` must not throw. `target` allows the request.
    static std::shared_ptr<cancel_request> start(std::shared_ptr<cancel_target> target,
                                                 const asio::any_io_executor& executor,
                                                 std::function<void(cancel_result)> on_ended,
                                                 std::chrono::milliseconds limit = default_limit);
    cancel_request(const cancel_request&) = delete;
    cancel_request& operator=(const cancel_request&) = delete;
    ~cancel_request();

    // Returns true if it can stop nothing any more: a session may run its next statement. After `overdue` it
    // stays false.
    bool ended() const noexcept { return ended_.load(); }

private:
    struct asynchronous;

    cancel_request(std::shared_ptr<cancel_target> target, std::function<void(cancel_result)> on_ended);
    void end(cancel_result how);
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    void begin(std::chrono::milliseconds limit);
    void advance(PostgresPollingStatusType next);
    void wait(bool for_reading);
#else
    void run_blocking();
#endif

    std::shared_ptr<cancel_target> target_;
    std::function<void(cancel_result)> on_ended_;
    std::atomic<bool> ended_{false};
    bool has_target_ = false;
    std::unique_ptr<asynchronous> io_; // null with a libpq before 17
};

} // namespace pgcoro::detail
