// Getting a connection: at once, or in the queue; and why not.
#include "connection/clock.hpp"
#include "connection/ends_by.hpp"
#include "pool/lock_and_act.hpp"
#include "resilience/text.hpp"

#include <pgcoro/detail/time.hpp>
#include <pgcoro/resilience/failure.hpp>

namespace pgcoro::detail
{

asio::awaitable<lease> pool_impl::acquire(std::chrono::milliseconds within, std::source_location where)
{
    std::shared_ptr<pool_impl> self; // for who may have to wait; a lease needs none
    bool observed = options_.observer != nullptr;
    time_point begun;
    bool queued = false;
    std::optional<time_point> deadline;
    auto begin = [&] {
        if (deadline) return;
        begun = clock::now();
        deadline = time_after(begun, within);
    };
    for (;;) {
        auto grant = acquire_at_once();
        if (!grant) {
            if (!self) self = shared_from_this();
            bool first = deadline.has_value(); // it had its turn, and the connection was dead
            begin();
            grant = co_await wait_for_turn(begun, *deadline, first);
            queued = true;
        }
        lease got = lend(grant->slot, where);
        if (grant->need == pool_core::check::peek) {
            auto& session = got->session();
            if (session.looks_dead()) {
                begin();
                if (!self) self = shared_from_this();
                session.give_up();
                got.release(); // it is closed, and all that are older are suspect
                continue;
            }
            mutex_guard lock(mutex_);
            core_.proved(grant->slot, coarse_now());
        }
        if (options_.on_acquire) {
            begin();
            co_await run_on_acquire(got, begun, *deadline);
        }
        if (observed) {
            auto waited = deadline ? clock::now() - begun : clock::duration();
            got->session().waited_for(waited);
            callers_told_.on_acquire({options_.name, waited, queued});
        }
        co_return got;
    }
}

asio::awaitable<void> pool_impl::run_on_acquire(lease& got, time_point begun, time_point deadline)
{
    check_hooks_may_run();
    bool ended = false;
    std::exception_ptr failure;
    try {
        auto hook = options_.on_acquire(*got);
        ended = co_await ends_by(deadline, std::move(hook));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        if (!is_cancellation(failure) && !got->is_closed()) got->session().give_up();
        std::rethrow_exception(failure);
    }
    if (ended) co_return;
    // The connection is cleaned when the lease ends.
    report_failed_acquire(begun, "timeout");
    throw pool_timeout("the hook on_acquire of pool '" + options_.name + "' did not end in " +
                       text_of(clock::now() - begun) + ": make it quicker, or acquire_timeout longer");
}

asio::awaitable<lease> pool_impl::acquire_traced(std::chrono::milliseconds within, trace_context parent,
                                                 std::source_location where)
{
    auto self = shared_from_this(); // and the gate, which the span ends through
    auto span = open_span::begin(&callers_told_, span_of::acquire, parent);
    if (span) span->at(options_.name);
    auto where_it_is = [](open_span& s, const lease& got) { got->session().place(s); };
    auto work = acquire(within, where);
    co_return co_await spanned(span.get(), std::move(work), where_it_is);
}

// One that this thread has back, or one of the idle.
std::optional<pool_core::grant> pool_impl::acquire_at_once()
{
    if (process_.load(std::memory_order_relaxed) != this_process()) leave_parents_connections();
    auto now = coarse_now();
    if (auto mine = parking_.take()) {
        if (core_of_own_slot().as_good_as_new(*mine, now)) return pool_core::grant{*mine};
        lock_and_act act(*this, now);
        core_.take_in(*mine, now, act.todo);
    }
    mutex_guard lock(mutex_);
    auto grant = core_.try_acquire(now);
    if (grant && armed_for_ > time_after(now, watch_period)) arm(now);
    return grant;
}

lease pool_impl::lend(slot_id slot, std::source_location where)
{
    // Nobody else touches this place until the lease ends, but for watch(), which needs the lock to do so.
    auto& p = places_[slot];
    p.leases.store(p.leases.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (options_.leak_threshold.count() == 0) {
        if (options_.observer) p.leased_at = clock::now();
    } else {
        mutex_guard lock(mutex_);
        p.leased_at = clock::now();
        p.leased_by = where;
        p.leak_reported = false;
    }
    return lease(*this, p.connection.get(), slot);
}

// Into the queue, or throws; unless another thread's place had one. No coroutine's part: what it needs would
// be in the frame of each that waits.
std::optional<pool_core::grant> pool_impl::enqueue(waiting& caller, time_point begun, bool first)
{
    bool accepted = false;
    bool closed = false;
    pool_core::counts state;
    {
        lock_and_act act(*this, clock::now());
        if (auto collected = core_.try_acquire(act.now)) return collected;
        closed = core_.closed();
        if (!closed) accepted = core_.enqueue(caller, first, act.now, act.todo);
        if (accepted) ++counters_.queued;
        state = count();
    }
    if (closed) refuse(pool_core::refusal::closed, nullptr, begun);
    if (accepted) return std::nullopt;
    report_failed_acquire(begun, "max_waiters");
    throw pool_timeout("refused at once: " + std::to_string(options_.max_waiters) +
                       " callers are waiting already, which is max_waiters; " + state_text(state));
}

asio::awaitable<pool_core::grant> pool_impl::wait_for_turn(time_point begun, time_point deadline, bool first)
{
    waiting caller(deadline);
    auto collected = enqueue(caller, begun, first);
    if (collected) co_return *collected;

    // If this coroutine is destroyed while it waits, it must not stay in the queue.
    struct leave
    {
        pool_impl& pool;
        waiting& caller;
        bool taken = false;
        ~leave()
        {
            if (!taken) pool.leave_queue(caller);
        }
    } leaving{*this, caller};

    auto why = co_await caller.turn->async_wait(std::nullopt, asio::deferred);
    if (why == wake::cancelled) {
        report_failed_acquire(begun, "cancelled");
        throw boost::system::system_error(asio::error::operation_aborted); // and `leaving` cleans up
    }
    leaving.taken = true;
    if (!caller.granted) refuse(caller.refused, caller.failure, begun);
    co_return *caller.granted;
}

void pool_impl::leave_queue(waiting& caller)
{
    std::optional<pool_core::grant> granted;
    {
        mutex_guard lock(mutex_);
        if (!core_.cancel(caller)) granted = caller.granted;
    }
    if (granted) release(granted->slot); // to whoever is next
}

void pool_impl::report_failed_acquire(time_point begun, const char* why)
{
    {
        mutex_guard lock(mutex_);
        ++counters_.acquire_failures;
    }
    callers_told_.on_acquire_failed({options_.name, clock::now() - begun, why});
}

void pool_impl::refuse(pool_core::refusal why, const std::exception_ptr& failure, time_point begun)
{
    switch (why) {
    case pool_core::refusal::timeout:
        throw_timeout(begun);
    case pool_core::refusal::closed:
        report_failed_acquire(begun, "closed");
        throw pool_closed("pool '" + options_.name + "' is closed");
    case pool_core::refusal::connect_failed:
        break;
    }
    report_failed_acquire(begun, "connect_failed");
    std::rethrow_exception(failure);
}

void pool_impl::throw_timeout(time_point begun)
{
    pool_core::counts n;
    std::shared_ptr<const std::string> failure;
    time_point failed_at;
    {
        mutex_guard lock(mutex_);
        n = count();
        failure = connect_failure_;
        failed_at = connect_failed_at_;
    }
    report_failed_acquire(begun, "timeout");
    auto now = clock::now();
    bool full = n.in_use == places_.size();
    std::string what = failure && !full ? "no connection could be opened in "
                                        : "no connection became free in ";
    what += text_of(now - begun) + ": ";
    if (failure) what += "the last connect failed " + text_of(now - failed_at) + " ago: " + *failure + "; ";
    what += state_text(n);
    if (n.in_use > 0 && (!failure || full))
        what += "; look for leases held long, slow statements, or a size too small";
    else if (n.connecting > 0 && !failure)
        what += "; the server has not answered the logins that are under way";
    throw pool_timeout(what);
}

std::string pool_impl::state_text(pool_core::counts n) const
{
    return "pool '" + options_.name + "' has " + std::to_string(n.in_use) + " in use, " +
           std::to_string(n.idle) + " idle, " + std::to_string(n.connecting) + " connecting, " +
           std::to_string(n.cleaning) + " being cleaned, of at most " + std::to_string(places_.size()) +
           " (size " + std::to_string(options_.size) + " + max_overflow " +
           std::to_string(options_.max_overflow) + "), and " + std::to_string(n.waiting) + " waiting";
}

} // namespace pgcoro::detail
