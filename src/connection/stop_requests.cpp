#include "connection/stop_requests.hpp"

#include "connection/cancel_threads.hpp"

#include <array>
#include <utility>

namespace pgcoro::detail
{
namespace
{

void send_cancel(PGcancel* canceller)
{
    std::array<char, 256> why{}; // nobody to tell: what was to be stopped ends by its own bounds then
    PQcancel(canceller, why.data(), why.size());
}

} // namespace

stop_requests::stop_requests(PGconn* conn)
    : canceller_(PQgetCancel(conn), &PQfreeCancel)
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
    if (pending_ && !pending_->told()) return;
    pending_ = std::make_shared<one_shot>();
    // Also when the session is gone meanwhile: a server that works does not see that its client left.
    cancel_threads::of_the_process().run([canceller = canceller_] { send_cancel(canceller.get()); },
                                         [ended = pending_] { ended->tell(); });
}

void stop_requests::request_at_the_end()
{
    cancel_threads::of_the_process().run([canceller = canceller_] { send_cancel(canceller.get()); }, [] {});
}

} // namespace pgcoro::detail
