#include "connection/stop_requests.hpp"

#include <utility>

namespace pgcoro::detail
{

stop_sender::stop_sender(PGconn* conn, asio::any_io_executor executor, cancel_encryption encryption)
    : target_(std::make_shared<cancel_target>(conn))
    , executor_(std::move(executor))
    , encryption_(encryption)
{}

bool stop_sender::send(std::function<void(cancel_result)> on_ended) const
{
    if (never_ || !target_->allows(encryption_)) return false;
    cancel_request::start(target_, executor_, std::move(on_ended));
    return true;
}

stop_requests::stop_requests(std::shared_ptr<stop_sender> sender, std::shared_ptr<socket_guard> guard) noexcept
    : sender_(std::move(sender))
    , guard_(std::move(guard))
{}

void stop_requests::end() noexcept
{
    auto state = state_.load();
    while (!(state & awaited) && static_cast<work>(state) != work::cancelled_statement)
        if (state_.compare_exchange_weak(state, 0)) return;
    std::shared_ptr<one_shot> waiting;
    {
        std::lock_guard lock(mutex_); // cancel() may not be through yet
        state_ = 0;
        waiting = std::exchange(idle_, nullptr);
    }
    if (waiting) waiting->tell();
}

std::shared_ptr<one_shot> stop_requests::idle_event()
{
    std::lock_guard lock(mutex_);
    auto state = state_.load();
    if (state & awaited) return idle_;
    auto event = std::make_shared<one_shot>();
    idle_ = event;
    while (state != 0)
        if (state_.compare_exchange_weak(state, static_cast<std::uint8_t>(state | awaited))) return event;
    idle_.reset();
    event->tell();
    return event;
}

void stop_requests::cancel()
{
    std::lock_guard lock(mutex_);
    if (sender_->is_never()) return;
    auto state = state_.load();
    for (;;) {
        auto now = static_cast<work>(state & ~awaited);
        if (now == work::cancelled_statement) break;
        if (now != work::statement) return;
        auto cancelled = static_cast<std::uint8_t>(work::cancelled_statement);
        if (state_.compare_exchange_weak(state, static_cast<std::uint8_t>(cancelled | (state & awaited)))) break;
    }
    request_with_lock();
}

void stop_requests::request()
{
    std::lock_guard lock(mutex_);
    request_with_lock();
}

void stop_requests::request_with_lock()
{
    if (guard_->foreign() || (pending_ && !pending_->ended->told())) return;
    // It goes on when the session is gone meanwhile: a server that works does not see that its client left.
    auto request = std::make_shared<pending_request>();
    bool sent = sender_->send([request](cancel_result how) {
        request->overdue = how == cancel_result::overdue;
        request->ended->tell();
    });
    if (sent)
        pending_ = std::move(request);
    else
        guard_->cut();
}

} // namespace pgcoro::detail
