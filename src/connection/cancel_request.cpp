#include "connection/cancel_request.hpp"

#include "connection/blocking_threads.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <new>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace pgcoro::detail
{

bool cancel_target::allows(cancel_encryption encryption) const noexcept
{
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    (void)encryption;
    return true;
#else
    return !encrypted_ || encryption != cancel_encryption::require;
#endif
}

cancel_request::cancel_request(std::shared_ptr<cancel_target> target,
                               std::function<void(cancel_result)> on_ended)
    : target_(std::move(target))
    , on_ended_(std::move(on_ended))
{}

void cancel_request::end(cancel_result how)
{
    if (!on_ended_) return;
    auto tell = std::exchange(on_ended_, nullptr);
    if (std::exchange(has_target_, false)) target_->busy_ = false;
    if (how != cancel_result::overdue) ended_ = true;
    tell(how);
}

#ifdef LIBPQ_HAS_ASYNC_CANCEL

cancel_target::cancel_target(PGconn* conn)
    : conn_(PQcancelCreate(conn))
    , encrypted_(PQsslInUse(conn))
{
    if (!conn_) throw std::bad_alloc();
}

cancel_target::~cancel_target() { PQcancelFinish(conn_); }

// All of it is used on one strand.
struct cancel_request::asynchronous
{
    explicit asynchronous(const asio::any_io_executor& executor)
        : strand(asio::make_strand(executor))
        , timer(strand)
    {}

    asio::strand<asio::any_io_executor> strand;
    asio::steady_timer timer;
    // A duplicate of libpq's socket, which libpq closes when it likes; see wire.
    std::optional<asio::posix::stream_descriptor> socket;
};

std::shared_ptr<cancel_request> cancel_request::start(std::shared_ptr<cancel_target> target,
                                                      const asio::any_io_executor& executor,
                                                      std::function<void(cancel_result)> on_ended,
                                                      std::chrono::milliseconds limit)
{
    std::shared_ptr<cancel_request> made(new cancel_request(std::move(target), std::move(on_ended)));
    made->io_ = std::make_unique<asynchronous>(executor);
    asio::post(made->io_->strand, [made, limit] { made->begin(limit); });
    return made;
}

cancel_request::~cancel_request()
{
    if (has_target_) target_->busy_ = false;
}

void cancel_request::begin(std::chrono::milliseconds limit)
{
    if (target_->busy_.exchange(true)) return end(cancel_result::failed);
    has_target_ = true;
    PQcancelReset(target_->conn_); // it may have been used before
    if (!PQcancelStart(target_->conn_)) return end(cancel_result::failed);
    io_->timer.expires_after(limit);
    io_->timer.async_wait([self = shared_from_this()](boost::system::error_code ec) {
        if (ec || !self->on_ended_) return;
        self->io_->socket.reset();
        PQcancelReset(self->target_->conn_);
        self->end(cancel_result::overdue);
    });
    wait(false);
}

void cancel_request::advance(PostgresPollingStatusType next)
{
    switch (next) {
    case PGRES_POLLING_READING:
        return wait(true);
    case PGRES_POLLING_WRITING:
        return wait(false);
    default:
        break;
    }
    io_->timer.cancel();
    PQcancelReset(target_->conn_); // closes its socket
    end(next == PGRES_POLLING_OK ? cancel_result::delivered : cancel_result::failed);
}

void cancel_request::wait(bool for_reading)
{
    int fd = ::fcntl(PQcancelSocket(target_->conn_), F_DUPFD_CLOEXEC, 0);
    boost::system::error_code ec;
    if (fd >= 0) {
        io_->socket.emplace(io_->strand);
        io_->socket->assign(fd, ec);
        if (ec) ::close(fd);
    }
    if (fd < 0 || ec) return advance(PGRES_POLLING_FAILED);
    auto direction =
        for_reading ? asio::posix::descriptor_base::wait_read : asio::posix::descriptor_base::wait_write;
    io_->socket->async_wait(direction, [self = shared_from_this()](boost::system::error_code failed) {
        if (failed || !self->on_ended_) return; // by the timer, which has ended it
        self->io_->socket.reset();
        self->advance(PQcancelPoll(self->target_->conn_));
    });
}

#else

cancel_target::cancel_target(PGconn* conn)
    : key_(PQgetCancel(conn))
    , encrypted_(PQsslInUse(conn))
{
    if (!key_) throw std::bad_alloc();
}

cancel_target::~cancel_target() { PQfreeCancel(key_); }

struct cancel_request::asynchronous
{};

std::shared_ptr<cancel_request> cancel_request::start(std::shared_ptr<cancel_target> target,
                                                      const asio::any_io_executor&,
                                                      std::function<void(cancel_result)> on_ended,
                                                      std::chrono::milliseconds)
{
    std::shared_ptr<cancel_request> made(new cancel_request(std::move(target), std::move(on_ended)));
    if (made->target_->busy_.exchange(true)) {
        made->end(cancel_result::failed);
        return made;
    }
    made->has_target_ = true;
    if (!blocking_threads::for_cancel_requests().run([made] { made->run_blocking(); }))
        made->end(cancel_result::failed);
    return made;
}

cancel_request::~cancel_request()
{
    if (has_target_) target_->busy_ = false;
}

void cancel_request::run_blocking()
{
    std::array<char, 256> why{}; // nobody to tell: what was to be stopped ends by its own limits then
    bool sent = PQcancel(target_->key_, why.data(), static_cast<int>(why.size())) == 1;
    end(sent ? cancel_result::delivered : cancel_result::failed);
}

#endif

} // namespace pgcoro::detail
