// Getting a connection: at once, or in the queue; and why not.
#include "connection/clock.hpp"
#include "pool/lock_and_act.hpp"
#include "resilience/text.hpp"

#include <pgcoro/resilience/failure.hpp>

namespace pgcoro::detail
{

asio::awaitable<lease> pool_impl::acquire(std::chrono::milliseconds within, std::source_location where)
{
    std::shared_ptr<pool_impl> self; // for who may have to wait; a lease needs none
    auto* observer = options_.observer;
    time_point begun;
    bool queued = false;
    std::optional<time_point> deadline;
    for (;;) {
        auto grant = acquire_at_once();
        if (!self && (!grant || grant->need != pool_core::check::none)) self = shared_from_this();
        if (!grant) {
            bool first = deadline.has_value(); // it had its turn, and the connection was dead
            if (!first) {
                begun = clock::now();
                deadline = begun + within;
            }
            grant = co_await wait_for_turn(begun, *deadline, first);
            queued = true;
        }
        lease got = lend(grant->slot, where);
        if (grant->need != pool_core::check::none) {
            if (!deadline) {
                begun = clock::now();
                deadline = begun + within;
            }
            bool alive = co_await passes(*got, grant->need);
            if (!alive) {
                got.release(); // broken by now: it is closed, and the generation raised
                continue;
            }
            std::lock_guard lock(mutex_);
            core_.proved(grant->slot, coarse_now());
        }
        if (options_.on_acquire) {
            std::exception_ptr failure;
            try {
                co_await options_.on_acquire(*got);
            } catch (...) {
                failure = std::current_exception();
            }
            if (failure) {
                if (!is_cancellation(failure) && !got->is_closed()) got->session().give_up();
                std::rethrow_exception(failure);
            }
        }
        if (observer) {
            auto waited = deadline ? clock::now() - begun : clock::duration();
            got->session().waited_for(waited);
            observer->on_acquire({options_.name, waited, queued});
        }
        co_return got;
    }
}

asio::awaitable<lease> pool_impl::acquire_traced(std::chrono::milliseconds within, trace_context parent,
                                                 std::source_location where)
{
    auto span = open_span::begin(options_.observer, span_of::acquire, parent);
    if (span) span->at(options_.name);
    auto where_it_is = [](open_span& s, const lease& got) { got->session().place(s); };
    auto work = acquire(within, where);
    co_return co_await spanned(span.get(), std::move(work), where_it_is);
}

// One that this thread has back, or one of the idle.
std::optional<pool_core::grant> pool_impl::acquire_at_once()
{
    auto now = coarse_now();
    if (auto mine = parking_.take()) {
        if (core_.as_good_as_new(*mine, now)) return pool_core::grant{*mine};
        lock_and_act act(*this, now);
        core_.take_in(*mine, now, act.todo);
    }
    std::lock_guard lock(mutex_);
    auto grant = core_.try_acquire(now);
    if (grant && armed_for_ > now + watch_period) arm(now);
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
        std::lock_guard lock(mutex_);
        p.leased_at = clock::now();
        p.leased_by = where;
        p.leak_reported = false;
    }
    return lease(*this, p.connection.get(), slot);
}

asio::awaitable<bool> pool_impl::passes(connection& c, pool_core::check need)
{
    auto& session = c.session();
    if (session.looks_dead()) {
        session.give_up();
        co_return false;
    }
    if (need == pool_core::check::peek) co_return true;
    try {
        co_await session.ping(clock::now() + options_.ping_timeout);
        co_return true;
    } catch (const error&) {
        session.give_up();
    }
    co_return false;
}

// Into the queue, or throws; unless another thread's place had one. No coroutine's part: what it needs would
// be in the frame of each that waits.
std::optional<pool_core::grant> pool_impl::enqueue(waiting& caller, time_point begun, bool first)
{
    bool accepted = false;
    bool closed = false;
    {
        lock_and_act act(*this, clock::now());
        if (auto collected = core_.try_acquire(act.now)) return collected;
        closed = core_.closed();
        if (!closed) accepted = core_.enqueue(caller, first, act.now, act.todo);
        if (accepted) ++counters_.queued;
    }
    if (closed) refuse(pool_core::refusal::closed, begun);
    if (accepted) return std::nullopt;
    report_failed_acquire(begun, "max_waiters");
    throw pool_timeout("refused at once: " + std::to_string(options_.max_waiters) +
                       " callers are waiting already, which is max_waiters; " + state_text());
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
    if (!caller.granted) refuse(caller.refused, begun);
    co_return *caller.granted;
}

void pool_impl::leave_queue(waiting& caller)
{
    std::optional<pool_core::grant> granted;
    {
        std::lock_guard lock(mutex_);
        if (!core_.cancel(caller)) granted = caller.granted;
    }
    if (granted) release(granted->slot); // to whoever is next
}

void pool_impl::report_failed_acquire(time_point begun, const char* why)
{
    {
        std::lock_guard lock(mutex_);
        ++counters_.acquire_failures;
    }
    if (auto* o = options_.observer) o->on_acquire_failed({options_.name, clock::now() - begun, why});
}

void pool_impl::refuse(pool_core::refusal why, time_point begun)
{
    auto waited = clock::now() - begun;
    switch (why) {
    case pool_core::refusal::timeout:
        report_failed_acquire(begun, "timeout");
        throw pool_timeout("no connection became free in " + text_of(waited) + ": " + state_text() +
                           "; look for leases held long, slow statements, or a size too small");
    case pool_core::refusal::closed:
        report_failed_acquire(begun, "closed");
        throw pool_closed("pool '" + options_.name + "' is closed");
    case pool_core::refusal::connect_failed:
        break;
    }
    report_failed_acquire(begun, "connect_failed");
    std::exception_ptr failure;
    {
        std::lock_guard lock(mutex_);
        failure = connect_failure_;
    }
    std::rethrow_exception(failure);
}

std::string pool_impl::state_text() const
{
    std::lock_guard lock(mutex_);
    auto n = count();
    auto text = "pool '" + options_.name + "' has " + std::to_string(n.in_use) + " in use, " +
                std::to_string(n.idle) + " idle, " + std::to_string(n.connecting) + " connecting, " +
                std::to_string(n.cleaning) + " being cleaned, of at most " +
                std::to_string(core_.capacity()) + " (size " + std::to_string(options_.size) +
                " + max_overflow " + std::to_string(options_.max_overflow) + "), and " +
                std::to_string(n.waiting) + " waiting";
    if (connect_failure_)
        text += "; the last connect failed " + text_of(clock::now() - connect_failed_at_) +
                " ago: " + first_line(connect_failure_);
    return text;
}

} // namespace pgcoro::detail
