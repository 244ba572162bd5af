#include "pool/pool_impl.hpp"

#include "connection/clock.hpp"
#include "pool/lock_and_act.hpp"

#include <pgcoro/detail/time.hpp>

#include <algorithm>

namespace pgcoro::detail
{

std::shared_ptr<pool_impl> pool_impl::make(asio::any_io_executor executor, pool_options options)
{
    auto made = std::make_shared<pool_impl>(std::move(executor), std::move(options));
    mutex_guard lock(made->mutex_);
    made->self_ = made;
    return made;
}

namespace
{

struct gated_options
{
    connection_options options;
    std::shared_ptr<observer_gate> gate;
};

} // namespace

std::shared_ptr<const connection_options> pool_impl::gated(connection_options options,
                                                           std::shared_ptr<observer_gate> gate)
{
    options.observer = gate->behind() ? gate.get() : nullptr;
    auto both = std::make_shared<const gated_options>(gated_options{std::move(options), std::move(gate)});
    return {both, &both->options};
}

pool_impl::pool_impl(asio::any_io_executor executor, pool_options options)
    : options_(std::move(options))
    , budget_((options_.validate(), options_.retry_budget))
    , executor_(std::move(executor))
    , told_(std::make_shared<observer_gate>(options_.observer))
    , connections_told_(options_.connection.observer
                            ? std::make_shared<observer_gate>(options_.connection.observer)
                            : told_)
    , callers_told_(options_.observer)
    , core_(options_, std::random_device{}())
    , places_(core_.capacity())
    , timer_(executor_)
{
    auto c = options_.connection;
    c.parameters.try_emplace("fallback_application_name", options_.name);
    connection_options_ = gated(std::move(c), connections_told_);
    contexts_waiters::of(executor_); // is there from now on, to learn of forks
}

// An operation whose I/O context stands still refers to its connection, and may continue at any time, or be destroyed with
// its context. The server was told to end the session, so only memory and a descriptor are kept, for the rest of the process.
pool_impl::~pool_impl()
{
    static auto& mutex = *new std::mutex;
    static auto& kept = *new std::vector<std::unique_ptr<connection>>;
    for (auto& c : stuck_) {
        if (c->is_closed() || !c->session().busy()) continue;
        std::lock_guard lock(mutex);
        kept.push_back(std::move(c));
    }
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
    bool observed = options_.observer != nullptr;
    if (observed) event.held = clock::now() - places_[slot].leased_at;
    // Once the slot is back, others may let go of the pool.
    auto self = observed ? shared_from_this() : nullptr;
    if (as != pool_core::returned::clean || !release_at_once(slot)) {
        if (!self) self = shared_from_this();
        lock_and_act act(*this, coarse_now());
        places_[slot].used_for = nullptr;
        if (event.dirty) ++counters_.cleanups;
        core_.release(slot, as, act.now, act.todo);
        let_go();
    }
    if (observed) callers_told_.on_release(event);
}

// A clean one that nobody waits for: to this thread's place, or among the idle.
bool pool_impl::release_at_once(slot_id slot) noexcept
{
    auto now = coarse_now();
    bool watched = places_[slot].used_for != nullptr;
    auto& core = core_of_own_slot();
    core.used(slot, now);
    if (!watched && core.as_good_as_new(slot, now) && parking_.put(slot)) return true;
    mutex_guard lock(mutex_);
    places_[slot].used_for = nullptr;
    if (!core_.park(slot, now)) return false;
    if (core_.at_ease()) parking_.open();
    return true;
}

void pool_impl::watch(slot_id slot, running_transaction& what)
{
    mutex_guard lock(mutex_);
    places_[slot].used_for = &what;
}

asio::awaitable<void> pool_impl::warm_up()
{
    auto self = shared_from_this();
    for (;;) {
        auto change = std::make_shared<change_waiter>();
        bool closed = false;
        {
            lock_and_act act(*this, clock::now());
            closed = core_.closed();
            if (!closed) {
                core_.warm(options_.size, act.now, act.todo);
                if (core_.count().open() >= options_.size) co_return;
                on_change_.push_back(change);
            }
        }
        if (closed) throw pool_closed("pool '" + options_.name + "' is closed");
        auto why = co_await change->event->async_wait(std::nullopt, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
        if (change->failure) std::rethrow_exception(change->failure);
    }
}

asio::awaitable<void> pool_impl::verify()
{
    auto self = shared_from_this();
    auto deadline = time_after(options_.acquire_timeout);
    auto made = co_await open(deadline, watched_by::own_timers);
    co_await made->session().ping(deadline);
}

asio::awaitable<void> pool_impl::close(std::chrono::milliseconds within)
{
    auto self = shared_from_this();
    auto deadline = time_after(within);
    std::shared_ptr<change_waiter> emptied;
    {
        lock_and_act act(*this, clock::now());
        core_.close(act.todo);
    }
    for (;;) {
        emptied = std::make_shared<change_waiter>();
        {
            mutex_guard lock(mutex_);
            if (core_.count().taken() == 0) break;
            on_change_.push_back(emptied);
        }
        auto why = co_await emptied->event->async_wait(deadline, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
        if (why != wake::expired) continue;
        std::vector<cutter> out; // their users get an error
        {
            mutex_guard lock(mutex_);
            for (slot_id slot = 0; slot < places_.size(); ++slot)
                if ((core_.in_use(slot) || core_.cleaning(slot)) && places_[slot].from_outside.guard)
                    out.push_back(places_[slot].from_outside);
        }
        for (auto& c : out) c.cut();
        break;
    }
    end_background();
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
    {
        lock_and_act act(*this, coarse_now());
        core_.close(act.todo);
        abandoned_ = true;
        let_go();
    }
    end_background();
    callers_told_.close();
}

// Background work calls no hook and no function of the observer after this: it is cancelled on its own
// executor, and looks at the gate before each hook.
void pool_impl::end_background() noexcept
{
    connections_told_->close();
    told_->close();
    boost::container::small_vector<std::shared_ptr<one_shot>, 8> under_way;
    {
        mutex_guard lock(mutex_);
        for (auto& p : places_)
            if (p.stop) under_way.push_back(p.stop);
    }
    for (auto& stop : under_way) stop->tell();
}

// In a forked child all open connections are the parent's. They are closed without a word to the server,
// which is the part of `wire`, and replaced when they are needed.
void pool_impl::leave_parents_connections()
{
    process_ = this_process();
    boost::container::small_vector<std::shared_ptr<one_shot>, 8> under_way;
    {
        lock_and_act act(*this, clock::now());
        core_.evict(act.now, act.todo);
        for (auto& p : places_)
            if (p.stop) under_way.push_back(p.stop);
    }
    for (auto& stop : under_way) stop->tell();
}

// With the lock held, by who keeps the pool until that is over.
void pool_impl::let_go() noexcept
{
    if (abandoned_ && core_.count().in_use == 0) self_.reset();
}

// One timer for all that waits for its time; none when nothing does.
void pool_impl::arm(time_point now)
{
    // A forked child shares the timers of a context that was not told of the fork with its parent.
    if (process_forks.load(std::memory_order_relaxed) > 0 &&
        !contexts_waiters::of(executor_).is_of_this_process())
        return;
    auto next = core_.next_tick();
    auto& n = core_.count();
    if (n.in_use + n.cleaning > 0) next = std::min<time_point>(next, time_after(now, watch_period));
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
    boost::container::small_vector<std::shared_ptr<socket_guard>, 16> guards;
    boost::container::small_vector<leak_event, 2> leaks;
    struct lasting
    {
        std::string name; // the transaction may be gone by the time it is reported
        long_transaction_event event;
    };
    std::vector<lasting> transactions;
    const auto now = clock::now();
    {
        lock_and_act act(*this, now);
        armed_for_ = time_point::max();
        core_.tick(act.now, act.todo);
        for (slot_id slot = 0; slot < places_.size(); ++slot) {
            auto& p = places_[slot];
            bool leased = core_.in_use(slot);
            if ((!leased && !core_.cleaning(slot)) || !p.from_outside.guard) continue;
            guards.push_back(p.from_outside.guard);
            if (auto* t = p.used_for; leased && t && !t->reported && act.now - t->begun >= t->report_after) {
                t->reported = true;
                transactions.push_back({std::string(t->name),
                                        {options_.name,
                                         {},
                                         t->attempt,
                                         act.now - t->begun,
                                         p.from_outside.backend_pid,
                                         t->where}});
            }
            if (!leased || options_.leak_threshold.count() == 0 || p.leak_reported) continue;
            if (act.now - p.leased_at < options_.leak_threshold) continue;
            p.leak_reported = true;
            leaks.push_back({options_.name, act.now - p.leased_at, p.leased_by});
        }
    }
    for (auto& guard : guards) guard->expire(now);
    for (auto& leak : leaks) told_->on_leak(leak);
    for (auto& t : transactions) {
        t.event.name = t.name;
        told_->on_long_transaction(t.event);
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
    pool_stats s;
    std::shared_ptr<const std::string> failure;
    {
        mutex_guard lock(mutex_);
        s = counters_;
        auto n = count();
        s.idle = n.idle;
        s.in_use = n.in_use;
        s.connecting = n.connecting;
        s.cleaning = n.cleaning;
        s.waiting = n.waiting;
        s.capacity = core_.capacity();
        s.overflow = n.open() > options_.size ? n.open() - options_.size : 0;
        failure = connect_failure_;
    }
    for (auto& p : places_) s.acquired += p.leases.load(std::memory_order_relaxed);
    if (failure) s.last_connect_failure = *failure;
    return s;
}

} // namespace pgcoro::detail
