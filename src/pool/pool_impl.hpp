// The pool's body: lock, connections and timer around the core.
#pragma once

#include "base/process.hpp"
#include "base/thread_safety.hpp"
#include "connection/one_shot.hpp"
#include "connection/session.hpp"
#include "pool/brief_mutex.hpp"
#include "pool/core.hpp"
#include "pool/observer_gate.hpp"
#include "pool/parking.hpp"

#include <pgcoro/pool/pool.hpp>

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <exception>
#include <memory>
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
    ~pool_impl();

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
    // How long the user of a connection that was cut may take to notice.
    static constexpr std::chrono::seconds stuck_after{5};

    struct waiting;
    struct alignas(64) place // no line for two, which may be used by two threads
    {
        std::unique_ptr<pgcoro::connection> connection;
        std::atomic<std::uint64_t> leases{0}; // written by who has it
        // For the timer and close(): the connection's user may close the connection at the same time.
        cutter from_outside;
        // Ends the background work on this slot, if there is any.
        std::shared_ptr<one_shot> stop;
        time_point leased_at;
        std::source_location leased_by;
        bool leak_reported = false;
        running_transaction* used_for = nullptr;
    };
    class lock_and_act;
    using background_work = asio::awaitable<void> (pool_impl::*)(slot_id);
    // Who looks after the deadlines of a connection's operations.
    enum class watched_by { own_timers, pool };

    // A caller that waits for a connect to end, or for the pool to have emptied.
    struct change_waiter
    {
        std::shared_ptr<one_shot> event = std::make_shared<one_shot>();
        std::exception_ptr failure; // of that connect. Written before the event is set.
    };

    std::optional<pool_core::grant> enqueue(waiting& caller, time_point begun, bool first);
    void leave_queue(waiting& caller);
    asio::awaitable<pool_core::grant> wait_for_turn(time_point begun, time_point deadline, bool first);
    asio::awaitable<void> run_on_acquire(lease& got, time_point begun, time_point deadline);
    void start(background_work work, slot_id slot, std::shared_ptr<one_shot> stop);
    // Options whose observer is the gate, which lives as long as they do.
    static std::shared_ptr<const connection_options> gated(connection_options options,
                                                           std::shared_ptr<observer_gate> gate);
    static asio::awaitable<void> run_background(std::shared_ptr<pool_impl> self, background_work work,
                                                slot_id slot, std::shared_ptr<one_shot> stop);
    asio::awaitable<void> connect(slot_id slot);
    asio::awaitable<std::unique_ptr<pgcoro::connection>> open(time_point deadline, watched_by who);
    asio::awaitable<void> run_hook(asio::awaitable<void> hook, const char* name, time_point deadline);
    void check_hooks_may_run() const;
    bool needs_undo(const session& s) const noexcept
    {
        return s.dirty() || options_.reset == reset_mode::always;
    }
    asio::awaitable<void> clean(slot_id slot);
    static asio::awaitable<bool> wait_until_idle(session& s, time_point deadline);
    asio::awaitable<bool> bring_back(connection& c, time_point deadline);
    asio::awaitable<void> check(slot_id slot);
    lease lend(slot_id slot, std::source_location where);

    std::optional<pool_core::grant> acquire_at_once();
    bool release_at_once(slot_id slot) noexcept;
    void leave_parents_connections();
    void end_background() noexcept;
    void let_go() noexcept PGCORO_REQUIRES(mutex_);
    void arm(time_point now) PGCORO_REQUIRES(mutex_);
    void on_timer();
    pool_core::counts count() const noexcept PGCORO_REQUIRES(mutex_);
    std::string state_text(pool_core::counts n) const;
    [[noreturn]] void refuse(pool_core::refusal why, const std::exception_ptr& failure, time_point begun);
    [[noreturn]] void throw_timeout(time_point begun);
    void report_failed_acquire(time_point begun, const char* why);
    // For the holder of a slot, which alone touches the core's entry of that slot.
    pool_core& core_of_own_slot() noexcept PGCORO_NO_THREAD_SAFETY_ANALYSIS { return core_; }

    pool_options options_;
    retry_budget budget_;
    asio::any_io_executor executor_;
    // The observer of the pool, and of its connections. Closed when close() returned, or with the pool.
    const std::shared_ptr<observer_gate> told_;
    const std::shared_ptr<observer_gate> connections_told_;
    // The observer for what callers do on a pool that is closed. Closed with the pool.
    observer_gate callers_told_;
    std::shared_ptr<const connection_options> connection_options_;

    mutable brief_mutex mutex_; // never held over a suspension or a call to the outside
    pool_core core_ PGCORO_GUARDED_BY(mutex_);
    // What came back to its thread without the lock. The core takes it for leased, until somebody acts on the
    // core, who collects it first.
    parking parking_;
    // Itself, until it is abandoned and all leases are back: they have no reference of their own, which all
    // threads would write to at each acquire.
    std::shared_ptr<pool_impl> self_ PGCORO_GUARDED_BY(mutex_);
    bool abandoned_ PGCORO_GUARDED_BY(mutex_) = false;
    std::vector<place> places_; // each with its slot's user; what timers and close() look at, under the lock
    // Connections whose user's I/O context stands still in the middle of an operation.
    std::vector<std::unique_ptr<pgcoro::connection>> stuck_ PGCORO_GUARDED_BY(mutex_);
    asio::steady_timer timer_ PGCORO_GUARDED_BY(mutex_);
    time_point armed_for_ PGCORO_GUARDED_BY(mutex_) = time_point::max();
    pool_stats counters_ PGCORO_GUARDED_BY(mutex_);
    // The last connect's failure, in one line; null when it succeeded.
    std::shared_ptr<const std::string> connect_failure_ PGCORO_GUARDED_BY(mutex_);
    time_point connect_failed_at_ PGCORO_GUARDED_BY(mutex_);
    std::vector<std::shared_ptr<change_waiter>> on_change_ PGCORO_GUARDED_BY(mutex_);
    std::atomic<std::uint32_t> process_{this_process_watched()};
};

} // namespace pgcoro::detail
