// One PGconn and its socket on the event loop.
#pragma once

#include "connection/libpq_result.hpp"
#include "connection/socket_guard.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <optional>

namespace pgcoro::detail
{

namespace asio = boost::asio;

// libpq owns the socket and closes it when it likes: on any error, and between two attempts to connect. Asio
// would then wait for, or deregister, whoever got the number by then. So Asio waits on a duplicate of the
// descriptor, which is ours to close; and on a new one after each step of connecting.
class wire
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    wire() = default;
    explicit wire(PGconn* conn) noexcept
        : conn_(conn)
    {}
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;
    ~wire();

    PGconn* get() const noexcept { return conn_; }
    socket_guard& guard() noexcept { return *guard_; }
    const std::shared_ptr<socket_guard>& shared_guard() const noexcept { return guard_; }

    // Waits happen on the I/O context of this executor from now on. Cheap when it is the same as before.
    // Throws a transient connection_error when the process has no descriptor left.
    void bind(const asio::any_io_executor& executor);
    // The executor of the last bind().
    asio::any_io_executor executor() { return socket_->get_executor(); }
    // Lets the socket go: another one will take its place, or none.
    void unbind() noexcept;

    // libpq holds bytes that the socket did not take.
    bool flushing() const noexcept { return !broken_ && flushing_; }
    // libpq needs no more bytes to return a result. That says nothing where none is due.
    bool answer_ready() const noexcept { return broken_ || !PQisBusy(conn_); }

    // The next wait is for bytes to read, and for nothing else: then `co_await readable()` and
    // consume() do it without a coroutine of their own. Otherwise `co_await step()`.
    bool only_reads() const noexcept { return !flushing_ && !ssl_; }
    auto readable()
    {
        return socket_->async_wait(asio::posix::descriptor_base::wait_read, asio::as_tuple(asio::deferred));
    }
    // After a failure libpq is "busy" for ever; PQgetResult tells the error.
    void consume() noexcept { broken_ = broken_ || !PQconsumeInput(conn_); }

    // One wait and what it brought: bytes read, or sent. Throws operation_aborted on cancellation (any kind);
    // nothing is lost then.
    asio::awaitable<void> step();
    // As step(), for this long at most; false when nothing came.
    asio::awaitable<bool> step_within(std::chrono::milliseconds limit);

    // How many bytes have arrived that libpq did not read. Under TLS they are not those of the protocol.
    std::size_t unread_bytes() const noexcept;
    bool is_encrypted() const noexcept { return ssl_ != nullptr; }

    // Reads what has arrived, without waiting, and has libpq look at it. While no answer is due: notifications, notices
    // and changed settings. False when the stream has ended.
    bool read_unasked() noexcept;

    // Hands libpq's buffer to the socket; to be called after each PQsend….
    void flush() noexcept { flushing_ = PQflush(conn_) == 1; }

    // Nothing more can come of this connection.
    bool broken() const noexcept
    {
        return broken_ || PQstatus(conn_) == CONNECTION_BAD || guard_->is_down() || guard_->foreign();
    }

    // For connecting: waits in one direction only.
    asio::awaitable<void> wait(asio::posix::descriptor_base::wait_type direction);

    // While somebody waits for the server: the connection is cut at the deadline, by whoever calls guard().expire() or,
    // if `timed`, by a timer of its own. However the wait is left, no time counts any more.
    class bounded_wait
    {
    public:
        bounded_wait(wire& w, time_point deadline, bool timed)
            : wire_(w)
            , timed_(timed)
        {
            wire_.begin(deadline, timed_);
        }
        bounded_wait(const bounded_wait&) = delete;
        bounded_wait& operator=(const bounded_wait&) = delete;
        ~bounded_wait()
        {
            if (!ended_) wire_.end();
        }
        // The server has shown that it works, and has its time again.
        void renew(time_point deadline) { wire_.begin(deadline, timed_); }
        // False when the connection was cut.
        bool end() noexcept
        {
            ended_ = true;
            return wire_.end();
        }

    private:
        wire& wire_;
        bool timed_;
        bool ended_ = false;
    };

private:
    void begin(time_point deadline, bool timed);
    bool end() noexcept;

    void unplug_event_loop() noexcept;
    bool tls_pending() const noexcept;
    asio::awaitable<bool> wait_both();

    PGconn* conn_ = nullptr;
    void* ssl_ = nullptr;
    bool flushing_ = false;
    bool broken_ = false;
    std::shared_ptr<socket_guard> guard_ = std::make_shared<socket_guard>();
    std::optional<asio::posix::stream_descriptor> socket_;
    std::optional<asio::steady_timer> timer_;
    bool timed_ = false;
};

} // namespace pgcoro::detail
