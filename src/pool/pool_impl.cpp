#include "pool/pool_impl.hpp"

#include "connection/clock.hpp"
#include "pool/lock_and_act.hpp"
#include "resilience/text.hpp"

#include <algorithm>

namespace pgcoro::detail
{

std::shared_ptr<pool_impl> pool_impl::make(asio::any_io_executor executor, pool_options options)
{
    auto made = std::make_shared<pool_impl>(std::move(executor), std::move(options));
    made->self_ = made;
    return made;
}

pool_impl::pool_impl(asio::any_io_executor executor, pool_options options)
    : options_(std::move(options))
    , budget_((options_.validate(), options_.retry_budget))
    , executor_(std::move(executor))
    , core_(options_, std::random_device{}())
    , places_(core_.capacity())
    , timer_(executor_)
{
    auto c = options_.connection;
    c.parameters.try_emplace("fallback_application_name", options_.name);
    if (!c.observer) c.observer = options_.observer;
    connection_options_ = std::make_shared<const connection_options>(std::move(c));
}

void pool_impl::release(slot_id slot) noexcept
{
    auto& connection = *places_[slot].connection;
    auto as = pool_core::returned::broken;
    if (!connection.is_closed()) { // else by its user
        auto& session = connection.session();
        session.end_use();
        session.end_lease();
        if (!session.broken()) {
            bool clean = session.clean() && !needs_undo(session);
            as = clean ? pool_core::returned::clean : pool_core::returned::dirty;
        }
    }
    release_event event{options_.name, {}, as == pool_core::returned::dirty};
    if (as == pool_core::returned::clean && options_.on_release) as = pool_core::returned::dirty;
    auto* observer = options_.observer;
    if (observer) event.held = clock::now() - places_[slot].leased_at;
    // Once the slot is back, others may let go of the pool.
    auto self = observer ? shared_from_this() : nullptr;
    if (as != pool_core::returned::clean || !release_at_once(slot)) {
        if (!self) self = shared_from_this();
        lock_and_act act(*this, coarse_now());
        places_[slot].used_for = nullptr;
        if (event.dirty) ++counters_.cleanups;
        core_.release(slot, as, act.now, act.todo);
        let_go();
    }
    if (observer) observer->on_release(event);
}

// A clean one that nobody waits for: to this thread's place, or among the idle.
bool pool_impl::release_at_once(slot_id slot) noexcept
{
    auto now = coarse_now();
    bool watched = places_[slot].used_for != nullptr;
    core_.used(slot, now);
    if (!watched && core_.as_good_as_new(slot, now) && parking_.put(slot)) return true;
    std::lock_guard lock(mutex_);
    places_[slot].used_for = nullptr;
    if (!core_.park(slot, now)) return false;
    if (core_.at_ease()) parking_.open();
    return true;
}

void pool_impl::watch(slot_id slot, running_transaction& what)
{
    std::lock_guard lock(mutex_);
    places_[slot].used_for = &what;
}

asio::awaitable<void> pool_impl::warm_up()
{
    auto self = shared_from_this();
    for (bool first = true;; first = false) {
        auto change = std::make_shared<one_shot>();
        std::exception_ptr failure;
        bool closed = false;
        {
            lock_and_act act(*this, clock::now());
            closed = core_.closed();
            if (!first) failure = connect_failure_;
            if (!closed && !failure) {
                core_.warm(options_.size, act.now, act.todo);
                if (core_.count().open() >= options_.size) co_return;
                on_change_.push_back(change);
            }
        }
        if (closed) throw pool_closed("pool '" + options_.name + "' is closed");
        if (failure) std::rethrow_exception(failure);
        auto why = co_await change->async_wait(std::nullopt, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    }
}

asio::awaitable<void> pool_impl::verify()
{
    auto self = shared_from_this();
    auto deadline = clock::now() + options_.acquire_timeout;
    auto made = co_await open(deadline);
    co_await made->session().ping(deadline);
}

asio::awaitable<void> pool_impl::close(std::chrono::milliseconds within)
{
    auto self = shared_from_this();
    auto deadline = clock::now() + within;
    auto emptied = std::make_shared<one_shot>();
    {
        lock_and_act act(*this, clock::now());
        core_.close(act.todo);
        if (core_.count().taken() == 0) co_return;
        on_change_.push_back(emptied);
    }
    for (;;) {
        auto why = co_await emptied->async_wait(deadline, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
        std::lock_guard lock(mutex_);
        if (core_.count().taken() == 0) co_return;
        if (why == wake::expired) { // what is still out is cut: its holders get an error, and let go
            for (slot_id slot = 0; slot < places_.size(); ++slot)
                if ((core_.in_use(slot) || core_.cleaning(slot)) && !places_[slot].connection->is_closed())
                    places_[slot].connection->session().abort();
            co_return;
        }
        emptied = std::make_shared<one_shot>(); // a connect came to its end
        on_change_.push_back(emptied);
    }
}

void pool_impl::evict()
{
    lock_and_act act(*this, clock::now());
    core_.evict(act.now, act.todo);
}

void pool_impl::suspend()
{
    lock_and_act act(*this, clock::now());
    core_.suspend();
}

void pool_impl::resume()
{
    lock_and_act act(*this, clock::now());
    core_.resume(act.now, act.todo);
}

void pool_impl::abandon() noexcept
{
    auto self = shared_from_this();
    lock_and_act act(*this, coarse_now());
    core_.close(act.todo);
    abandoned_ = true;
    let_go();
}

// With the lock held, by who keeps the pool until that is over.
void pool_impl::let_go() noexcept
{
    if (abandoned_ && core_.count().in_use == 0) self_.reset();
}

// One timer for all that waits for its time; none when nothing does. Called with the lock held.
void pool_impl::arm(time_point now)
{
    auto next = core_.next_tick();
    auto& n = core_.count();
    if (n.in_use + n.cleaning > 0) next = std::min<time_point>(next, now + watch_period);
    if (next == time_point::max() && armed_for_ != next) timer_.cancel();
    bool sooner = next < armed_for_;
    if (!sooner && next != time_point::max()) return;
    armed_for_ = next;
    if (!sooner) return;
    timer_.expires_at(next);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
        if (ec) return;
        if (auto self = weak.lock()) self->on_timer();
    });
}

void pool_impl::on_timer()
{
    boost::container::small_vector<leak_event, 2> leaks;
    struct lasting
    {
        std::string name; // the transaction may be gone by the time it is reported
        long_transaction_event event;
    };
    std::vector<lasting> transactions;
    {
        lock_and_act act(*this, clock::now());
        armed_for_ = time_point::max();
        core_.tick(act.now, act.todo);
        for (slot_id slot = 0; slot < places_.size(); ++slot) {
            auto& p = places_[slot];
            bool leased = core_.in_use(slot);
            if ((!leased && !core_.cleaning(slot)) || p.connection->is_closed()) continue;
            p.connection->session().guard().expire(act.now);
            if (auto* t = p.used_for; leased && t && !t->reported && act.now - t->begun >= t->report_after) {
                t->reported = true;
                transactions.push_back({std::string(t->name),
                                        {options_.name,
                                         {},
                                         t->attempt,
                                         act.now - t->begun,
                                         p.connection->backend_pid(),
                                         t->where}});
            }
            if (!leased || options_.leak_threshold.count() == 0 || p.leak_reported) continue;
            if (act.now - p.leased_at < options_.leak_threshold) continue;
            p.leak_reported = true;
            leaks.push_back({options_.name, act.now - p.leased_at, p.leased_by});
        }
    }
    if (!options_.observer) return;
    for (auto& leak : leaks) options_.observer->on_leak(leak);
    for (auto& t : transactions) {
        t.event.name = t.name;
        options_.observer->on_long_transaction(t.event);
    }
}

// With the lock held.
pool_core::counts pool_impl::count() const noexcept
{
    auto n = core_.count();
    auto parked = parking_.count();
    n.idle += parked;
    n.in_use -= parked;
    return n;
}

pool_stats pool_impl::stats() const
{
    std::lock_guard lock(mutex_);
    auto s = counters_;
    auto n = count();
    s.idle = n.idle;
    s.in_use = n.in_use;
    s.connecting = n.connecting;
    s.cleaning = n.cleaning;
    s.waiting = n.waiting;
    s.capacity = core_.capacity();
    s.overflow = n.open() > options_.size ? n.open() - options_.size : 0;
    for (auto& p : places_) s.acquired += p.leases.load(std::memory_order_relaxed);
    if (connect_failure_) s.last_connect_failure = first_line(connect_failure_);
    return s;
}

} // namespace pgcoro::detail
