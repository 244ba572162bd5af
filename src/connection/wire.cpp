#include "connection/wire.hpp"

#include "connection/one_shot.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/query.hpp>

#include <openssl/ssl.h>

#include <cerrno>

#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pgcoro::detail
{

namespace
{

void throw_if_failed(boost::system::error_code ec)
{
    if (ec) throw boost::system::system_error(ec);
}

[[noreturn]] void throw_cannot_wait(const char* what, boost::system::error_code why)
{
    throw connection_error(connection_failure::other,
                           std::string("cannot wait for the server: ") + what + ": " + why.message());
}

// Puts /dev/null in the place of a descriptor that is shared with the parent process, so that libpq's goodbye
// does not reach the server.
void unplug(int fd) noexcept
{
    if (fd < 0) return;
    int nobody = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nobody < 0) {
        ::close(fd);
        return;
    }
    ::dup3(nobody, fd, O_CLOEXEC);
    ::close(nobody);
}

asio::execution_context& context_of(const asio::any_io_executor& executor)
{
    return asio::query(executor, asio::execution::context);
}

} // namespace

wire::~wire()
{
    unbind();
    if (guard_->foreign() && conn_) unplug(PQsocket(conn_));
    PQfinish(conn_);
}

// In a forked child, before the socket leaves the event loop: a loop that was not told of the fork is shared
// with the parent, who must not lose its registration of the same socket.
void wire::unplug_event_loop() noexcept
{
    if (!contexts_waiters::of(socket_->get_executor()).is_of_this_process()) unplug(socket_->native_handle());
}

void wire::bind(const asio::any_io_executor& executor)
{
    if (socket_ && &context_of(socket_->get_executor()) == &context_of(executor)) return;
    unbind();
    int fd = ::fcntl(PQsocket(conn_), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        throw_cannot_wait("duplicating its socket", {errno, boost::system::system_category()});
    contexts_waiters::of(executor); // is there from now on, to learn of forks
    socket_.emplace(executor);
    boost::system::error_code ec;
    socket_->assign(fd, ec);
    if (ec) {
        ::close(fd);
        socket_.reset();
        throw_cannot_wait("registering its socket with the event loop", ec);
    }
    guard_->watch(fd);
    ssl_ = PQsslInUse(conn_) ? PQsslStruct(conn_, "OpenSSL") : nullptr;
}

void wire::unbind() noexcept
{
    timer_.reset();
    if (!socket_) return;
    guard_->watch(-1);
    if (guard_->foreign()) unplug_event_loop();
    // Not close(): the socket lives on in libpq's descriptor, and so would its place in the event loop.
    ::close(socket_->release());
    socket_.reset();
}

bool wire::tls_pending() const noexcept { return ssl_ && SSL_pending(static_cast<SSL*>(ssl_)) > 0; }

asio::awaitable<void> wire::wait(asio::posix::descriptor_base::wait_type direction)
{
    auto [ec] = co_await socket_->async_wait(direction, asio::as_tuple(asio::deferred));
    throw_if_failed(ec);
}

// For whichever comes first; tells whether there is something to read.
asio::awaitable<bool> wire::wait_both()
{
    using base = asio::posix::descriptor_base;
    auto both =
        asio::experimental::make_parallel_group(socket_->async_wait(base::wait_read, asio::deferred),
                                                socket_->async_wait(base::wait_write, asio::deferred));
    auto [order, read, write] = co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    throw_if_failed(order[0] == 0 ? read : write);
    co_return order[0] == 0;
}

std::size_t wire::unread_bytes() const noexcept
{
    int bytes = 0;
    return !broken() && ::ioctl(PQsocket(conn_), FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

bool wire::read_unasked() noexcept
{
    constexpr int most_reads = 64; // a server that does not stop is no reason to stay here
    for (int reads = 0; reads < most_reads && !broken(); ++reads) {
        char byte = 0;
        auto n = ::recv(PQsocket(conn_), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        bool nothing_there = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        if (nothing_there && !tls_pending()) return true;
        consume(); // at the end of the stream libpq reads what came before it, and is broken then
        static_cast<void>(PQisBusy(conn_)); // parses it
    }
    return !broken();
}

asio::awaitable<void> wire::step()
{
    if (flushing_) {
        // Both ways: with a large request the server may stop reading until its answers are taken.
        bool readable_now = co_await wait_both();
        if (readable_now) consume();
        flush();
        co_return;
    }
    // TLS records may be inside OpenSSL already, where the socket does not show them any more.
    if (!tls_pending()) co_await wait(asio::posix::descriptor_base::wait_read);
    consume();
}

asio::awaitable<bool> wire::step_within(std::chrono::milliseconds limit)
{
    if (flushing_ || tls_pending()) {
        co_await step();
        co_return true;
    }
    using base = asio::posix::descriptor_base;
    asio::steady_timer timer(socket_->get_executor(), limit);
    auto either = asio::experimental::make_parallel_group(
        socket_->async_wait(base::wait_read, asio::deferred), timer.async_wait(asio::deferred));
    auto [order, read, timed] =
        co_await either.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    throw_if_failed(order[0] == 0 ? read : timed);
    if (order[0] != 0) co_return false;
    consume();
    co_return true;
}

void wire::begin(time_point deadline, bool timed)
{
    guard_->begin(deadline);
    if (!timed) return;
    timed_ = true;
    if (!timer_) timer_.emplace(socket_->get_executor());
    timer_->expires_at(deadline);
    timer_->async_wait([guard = guard_](boost::system::error_code ec) {
        if (!ec) guard->expire(std::chrono::steady_clock::now());
    });
}

bool wire::end() noexcept
{
    if (std::exchange(timed_, false)) timer_->cancel();
    return guard_->end();
}

} // namespace pgcoro::detail
