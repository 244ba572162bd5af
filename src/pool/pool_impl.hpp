// The pool's body: lock, connections and timer around the core.
#pragma once

#include "connection/one_shot.hpp"
#include "connection/session.hpp"
#include "pool/brief_mutex.hpp"
#include "pool/core.hpp"
#include "pool/parking.hpp"

#include <pgcoro/pool/pool.hpp>

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

namespace pgcoro::detail
{

// A `transactional` call that is to be reported if it lasts. Once a lease is told of it, guarded by the
// pool's lock until that lease ends.
struct running_transaction
{
    std::string_view name;
    std::source_location where;
    std::chrono::steady_clock::time_point begun;
    std::chrono::milliseconds report_after{0}; // 0: never
    int attempt = 0;
    bool reported = false;
};

class pool_impl : public std::enable_shared_from_this<pool_impl>
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using slot_id = pool_core::slot_id;

    static std::shared_ptr<pool_impl> make(asio::any_io_executor executor, pool_options options);
    pool_impl(asio::any_io_executor executor, pool_options options);

    asio::awaitable<lease> acquire(std::chrono::milliseconds within, std::source_location where);
    // As a span, which is a child of that one.
    asio::awaitable<lease> acquire_traced(std::chrono::milliseconds within, trace_context parent,
                                          std::source_location where);
    void release(slot_id slot) noexcept;
    asio::awaitable<void> warm_up();
    asio::awaitable<void> verify();
    asio::awaitable<void> close(std::chrono::milliseconds within);
    void evict();
    void suspend();
    void resume();
    void abandon() noexcept;

    void watch(slot_id slot, running_transaction& what);

    pool_stats stats() const;
    retry_budget& budget() noexcept { return budget_; }
    const pool_options& options() const noexcept { return options_; }

private:
    // How often operations under way are looked after; so much later than told may a deadline be noticed.
    static constexpr std::chrono::milliseconds watch_period{250};

    struct waiting;
    struct alignas(64) place // no line for two, which may be used by two threads
    {
        std::unique_ptr<pgcoro::connection> connection;
        std::atomic<std::uint64_t> leases{0}; // written by who has it
        time_point leased_at;
        std::source_location leased_by;
        bool leak_reported = false;
        running_transaction* used_for = nullptr;
    };
    class lock_and_act;

    std::optional<pool_core::grant> enqueue(waiting& caller, time_point begun, bool first);
    void leave_queue(waiting& caller);
    asio::awaitable<pool_core::grant> wait_for_turn(time_point begun, time_point deadline, bool first);
    void start(asio::awaitable<void> (pool_impl::*work)(slot_id), slot_id slot);
    asio::awaitable<void> connect(slot_id slot);
    asio::awaitable<std::unique_ptr<pgcoro::connection>> open(time_point deadline);
    asio::awaitable<void> bounded(asio::awaitable<void> hook, const char* name, time_point deadline);
    bool needs_undo(const session& s) const noexcept
    {
        return s.dirty() || options_.reset == reset_mode::always;
    }
    asio::awaitable<void> clean(slot_id slot);
    asio::awaitable<void> keep_alive(slot_id slot);
    asio::awaitable<bool> passes(connection& c, pool_core::check need);
    lease lend(slot_id slot, std::source_location where);

    std::optional<pool_core::grant> acquire_at_once();
    bool release_at_once(slot_id slot) noexcept;
    void let_go() noexcept;
    void arm(time_point now);
    void on_timer();
    pool_core::counts count() const noexcept;
    std::string state_text() const;
    [[noreturn]] void refuse(pool_core::refusal why, time_point begun);
    void report_failed_acquire(time_point begun, const char* why);

    pool_options options_;
    retry_budget budget_;
    std::shared_ptr<const connection_options> connection_options_;
    asio::any_io_executor executor_;

    mutable brief_mutex mutex_; // guards all below; never held over a suspension or a call to the outside
    pool_core core_;
    // What came back to its thread without the lock. The core takes it for leased, until somebody acts on the
    // core, who collects it first.
    parking parking_;
    // Itself, until it is abandoned and all leases are back: they have no reference of their own, which all
    // threads would write to at each acquire.
    std::shared_ptr<pool_impl> self_;
    bool abandoned_ = false;
    std::vector<place> places_;
    asio::steady_timer timer_;
    time_point armed_for_ = time_point::max();
    pool_stats counters_;
    std::exception_ptr connect_failure_;
    time_point connect_failed_at_;
    std::vector<std::shared_ptr<one_shot>>
        on_change_; // told after each connect, and when the pool has emptied
};

} // namespace pgcoro::detail
