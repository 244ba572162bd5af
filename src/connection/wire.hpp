// One PGconn and its socket on the event loop.
#pragma once

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

struct result_deleter
{
    void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using result_ptr = std::unique_ptr<PGresult, result_deleter>;

// What libpq allocated, and wants to have back.
struct pq_deleter
{
    void operator()(void* p) const noexcept { PQfreemem(p); }
};
template <class T>
using pq_ptr = std::unique_ptr<T, pq_deleter>;

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
    // Throws boost::system::system_error when the process has no descriptor left.
    void bind(const asio::any_io_executor& executor);
    // Lets the socket go: another one will take its place, or none.
    void unbind() noexcept;

    // Has libpq nothing to give before more is sent or received?
    bool busy() const noexcept { return !broken_ && (flushing_ || PQisBusy(conn_)); }

    // The same two apart, for who sends on while it reads.
    bool flushing() const noexcept { return !broken_ && flushing_; }
    bool answer_ready() const noexcept { return broken_ || !PQisBusy(conn_); }

    // The next wait while busy() is for bytes to read, and for nothing else: then `co_await readable()` and
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

    // Waits until the socket took all there is to send. False when the server has an error to tell meanwhile,
    // as far as that can be seen; it is left for later then. For COPY, which libpq reads no answers of.
    asio::awaitable<bool> flush_all();

    // Reads a COPY TO STDOUT that nobody wants to its end.
    asio::awaitable<void> discard_copy();

    // Waits while busy, then takes the next result: null at the end of a statement's results. A connection
    // that breaks shows as a result with an error, and PQstatus CONNECTION_BAD.
    asio::awaitable<result_ptr> next_result();

    // Hands libpq's buffer to the socket; to be called after each PQsend….
    void flush() noexcept { flushing_ = PQflush(conn_) == 1; }

    // Nothing more can come of this connection.
    bool broken() const noexcept { return broken_ || PQstatus(conn_) == CONNECTION_BAD; }

    // For connecting: waits in one direction only.
    asio::awaitable<void> wait(asio::posix::descriptor_base::wait_type direction);

    // From when on, and until when, an operation is bounded in time, here or by whoever calls
    // guard().expire(). `timed`: by a timer of its own.
    void begin(time_point deadline, bool timed);
    bool end() noexcept;

private:
    bool tls_pending() const noexcept;
    bool error_ahead() const noexcept;
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
