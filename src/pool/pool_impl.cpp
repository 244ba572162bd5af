#include "pool/pool_impl.hpp"

#include "connection/clock.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

using clock = std::chrono::steady_clock;

// How often operations under way are looked after; so much later than told may a deadline be noticed.
constexpr std::chrono::milliseconds watch_period{250};

std::string seconds(std::chrono::nanoseconds d)
{
    auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(d).count() / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

std::string first_line(std::string text) { return text.substr(0, text.find('\n')); }

std::string what_of(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& known) {
        return known.what();
    } catch (...) {
        return "an exception of unknown type";
    }
}

// Will the same attempt fail again, until somebody changes something?
bool is_permanent(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const connection_error& known) {
        return !known.is_transient();
    } catch (...) {
        return false;
    }
}

} // namespace

// A caller in the queue. It lives in the caller's coroutine; what wakes it is shared, because it may be
// cancelled, and gone, just when it is granted a connection.
struct pool_impl::waiting : pool_core::waiter
{
    using waiter::waiter;
    std::shared_ptr<one_shot> turn = std::make_shared<one_shot>();
    std::optional<pool_core::grant> granted;
    pool_core::refusal refused{};
};

// The lock, and what the core wants done once it is released: in the destructor, in the order that frees
// connections before it opens others.
class pool_impl::lock_and_act
{
public:
    lock_and_act(pool_impl& p, time_point at)
        : now(at)
        , pool_(p)
        , lock_(p.mutex_)
    {}
    lock_and_act(const lock_and_act&) = delete;
    lock_and_act& operator=(const lock_and_act&) = delete;

    ~lock_and_act()
    {
        boost::container::small_vector<std::shared_ptr<one_shot>, 4> wake;
        for (auto& [w, grant] : todo.granted) {
            auto& caller = static_cast<waiting&>(*w);
            caller.granted = grant;
            wake.push_back(caller.turn);
        }
        for (auto& [w, why] : todo.refused) {
            auto& caller = static_cast<waiting&>(*w);
            caller.refused = why;
            wake.push_back(caller.turn);
        }
        boost::container::small_vector<std::pair<std::unique_ptr<connection>, disconnect_event>, 2> closing;
        for (auto [slot, why] : todo.close) {
            disconnect_event event{pool_.options_.name, why, now - pool_.core_.opened_at(slot)};
            closing.emplace_back(std::move(pool_.places_[slot].connection), event);
            ++pool_.counters_.closes;
            if (why == close_reason::broken) ++pool_.counters_.found_dead;
        }
        if (changed || (pool_.core_.closed() && pool_.core_.count().taken() == 0)) {
            for (auto& shot : pool_.on_change_) wake.push_back(std::move(shot));
            pool_.on_change_.clear();
        }
        pool_.arm(now);
        lock_.unlock();

        for (auto& shot : wake) shot->tell();
        for (auto& [c, event] : closing) {
            c.reset();
            if (auto* o = pool_.options_.observer) o->on_disconnect(event);
        }
        for (auto slot : todo.connect) pool_.start(&pool_impl::connect, slot);
        for (auto slot : todo.clean) pool_.start(&pool_impl::clean, slot);
        for (auto slot : todo.keepalive) pool_.start(&pool_impl::keep_alive, slot);
    }

    const time_point now;
    pool_core::actions todo;
    bool changed = false; // there is news for on_change_

private:
    pool_impl& pool_;
    std::unique_lock<std::mutex> lock_;
};

pool_impl::pool_impl(asio::any_io_executor executor, pool_options options)
    : options_(std::move(options))
    , executor_(std::move(executor))
    , core_((options_.validate(), options_), std::random_device{}())
    , places_(core_.capacity())
    , timer_(executor_)
{
    auto c = options_.connection;
    if (c.application_name.empty()) c.application_name = options_.name;
    if (!c.observer) c.observer = options_.observer;
    connection_options_ = std::make_shared<const connection_options>(std::move(c));
}

asio::awaitable<lease> pool_impl::acquire(std::chrono::milliseconds within, std::source_location where)
{
    std::shared_ptr<pool_impl> self; // for who may have to wait; else the lease is reference enough
    auto* observer = options_.observer;
    auto begun = observer ? clock::now() : time_point();
    bool queued = false;
    std::optional<time_point> deadline;
    for (;;) {
        std::optional<pool_core::grant> grant;
        {
            std::lock_guard lock(mutex_);
            auto now = coarse_now();
            grant = core_.try_acquire(now);
            if (grant && armed_for_ > now + watch_period) arm(now);
        }
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
                if (!is_cancellation(failure)) got->session().give_up();
                std::rethrow_exception(failure);
            }
        }
        if (observer) observer->on_acquire({options_.name, clock::now() - begun, queued});
        co_return got;
    }
}

lease pool_impl::lend(slot_id slot, std::source_location where)
{
    // Nobody else touches this place until the lease ends, but for watch(), which needs the lock to do so.
    auto& p = places_[slot];
    if (options_.leak_threshold.count() > 0 || options_.observer) {
        std::lock_guard lock(mutex_);
        p.leased_at = clock::now();
        p.leased_by = where;
        p.leak_reported = false;
    }
    return lease(shared_from_this(), p.connection.get(), slot);
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

asio::awaitable<pool_core::grant> pool_impl::wait_for_turn(time_point begun, time_point deadline, bool first)
{
    waiting caller(deadline);
    bool accepted = false;
    bool closed = false;
    {
        lock_and_act act(*this, clock::now());
        closed = core_.closed();
        if (!closed) accepted = core_.enqueue(caller, first, act.now, act.todo);
        if (accepted) ++counters_.queued;
    }
    if (closed) refuse(pool_core::refusal::closed, begun);
    if (!accepted) {
        report_failed_acquire(begun, "max_waiters");
        throw pool_timeout("refused at once: " + std::to_string(options_.max_waiters) +
                           " callers are waiting already, which is max_waiters; " + state_text());
    }

    // If this coroutine is destroyed while it waits, it must not stay in the queue.
    struct leave
    {
        pool_impl& pool;
        waiting& caller;
        bool taken = false;
        ~leave()
        {
            if (taken) return;
            std::optional<pool_core::grant> granted;
            {
                std::lock_guard lock(pool.mutex_);
                if (!pool.core_.cancel(caller)) granted = caller.granted;
            }
            if (granted) pool.release(granted->slot); // to whoever is next
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
        throw pool_timeout("no connection became free in " + seconds(waited) + ": " + state_text() +
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
    auto& n = core_.count();
    auto text = "pool '" + options_.name + "' has " + std::to_string(n.in_use) + " in use, " +
                std::to_string(n.idle) + " idle, " + std::to_string(n.connecting) + " connecting, " +
                std::to_string(n.cleaning) + " being cleaned, of at most " +
                std::to_string(core_.capacity()) + " (size " + std::to_string(options_.size) +
                " + max_overflow " + std::to_string(options_.max_overflow) + "), and " +
                std::to_string(n.waiting) + " waiting";
    if (connect_failure_)
        text += "; the last connect failed " + seconds(clock::now() - connect_failed_at_) +
                " ago: " + what_of(connect_failure_);
    return text;
}

void pool_impl::release(slot_id slot) noexcept
{
    auto& session = places_[slot].connection->session();
    session.end_holder();
    auto as = session.broken()  ? pool_core::returned::broken
              : session.clean() ? pool_core::returned::clean
                                : pool_core::returned::dirty;
    release_event event{options_.name, {}, as == pool_core::returned::dirty};
    if (as == pool_core::returned::clean && options_.on_release) as = pool_core::returned::dirty;
    if (options_.observer) event.held = clock::now() - places_[slot].leased_at;
    bool parked = false;
    {
        std::lock_guard lock(mutex_);
        ++counters_.acquired;
        parked = as == pool_core::returned::clean && core_.park(slot, coarse_now());
    }
    if (!parked) {
        lock_and_act act(*this, coarse_now());
        if (event.dirty) ++counters_.cleanups;
        core_.release(slot, as, act.now, act.todo);
    }
    if (options_.observer) options_.observer->on_release(event);
}

// On the pool's own executor, and not before the caller, who may be a destructor, is through. On a strand of
// its own, because a hook that takes too long is cancelled while it may run elsewhere.
void pool_impl::start(asio::awaitable<void> (pool_impl::*work)(slot_id), slot_id slot)
{
    asio::post(executor_, [self = shared_from_this(), work, slot] {
        asio::co_spawn(asio::make_strand(self->executor_), ((*self).*work)(slot), asio::detached);
    });
}

// A hook of the user's, cancelled when it takes too long.
asio::awaitable<void> pool_impl::bounded(asio::awaitable<void> hook, const char* name, time_point deadline)
{
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline);
    auto both = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(hook), asio::deferred), timer.async_wait(asio::deferred));
    auto [order, failure, ec] = co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    if (order[0] != 0)
        throw deadline_exceeded("pool '" + options_.name + "': the hook " + name + " took too long");
    if (failure) std::rethrow_exception(failure);
}

// A new connection, with all that makes it one of this pool's.
asio::awaitable<std::unique_ptr<connection>> pool_impl::open(time_point deadline)
{
    auto options = connection_options_;
    if (options_.password) {
        auto own = *options;
        auto ask = [&]() -> asio::awaitable<void> {
            own.parameters["password"] = co_await options_.password();
        };
        co_await bounded(ask(), "password", std::min(deadline, clock::now() + own.connect_timeout));
        options = std::make_shared<const connection_options>(std::move(own));
    }
    auto session = co_await session::connect(std::move(options), options_.name, deadline);
    auto made = std::make_unique<connection>(std::move(session));
    if (options_.on_connect) {
        auto until = std::min(deadline, clock::now() + connection_options_->connect_timeout);
        co_await bounded(options_.on_connect(*made), "on_connect", until);
        co_await made->session().recover(until, true);
    }
    made->session().set_watched();
    co_return made;
}

asio::awaitable<void> pool_impl::connect(slot_id slot)
{
    auto self = shared_from_this();
    std::unique_ptr<connection> made;
    std::exception_ptr failure;
    try {
        made = co_await open(time_point::max());
    } catch (...) {
        failure = std::current_exception();
    }
    lock_and_act act(*this, clock::now());
    act.changed = true;
    if (failure) {
        ++counters_.connect_failures;
        connect_failure_ = failure;
        connect_failed_at_ = act.now;
        core_.connect_failed(slot, is_permanent(failure), act.now, act.todo);
    } else {
        ++counters_.connects;
        connect_failure_ = nullptr;
        places_[slot].connection = std::move(made);
        core_.connected(slot, act.now, act.todo);
    }
}

// Brings a connection back to a state in which the next caller can have it.
asio::awaitable<void> pool_impl::clean(slot_id slot)
{
    auto self = shared_from_this();
    auto& connection = *places_[slot].connection;
    auto& session = connection.session();
    auto deadline = clock::now() + options_.cleanup_timeout;
    bool usable = false;
    try {
        // A lease that ended while another coroutine still ran a statement on it: that one must be out first.
        asio::steady_timer pause(executor_);
        while (session.busy()) {
            if (clock::now() >= deadline) session.abort();
            pause.expires_after(std::chrono::milliseconds(10));
            co_await pause.async_wait(asio::deferred);
        }
        if (!session.clean()) co_await session.recover(deadline, true);
        if (options_.on_release) {
            co_await bounded(options_.on_release(connection), "on_release", deadline);
            if (!session.clean()) co_await session.recover(deadline, true);
        }
        usable = session.clean();
    } catch (...) {
        // Why does not matter to anybody by now: it is closed, and that is told to the observer.
    }
    lock_and_act act(*this, clock::now());
    core_.cleaned(slot, usable, act.now, act.todo);
}

asio::awaitable<void> pool_impl::keep_alive(slot_id slot)
{
    auto self = shared_from_this();
    bool alive = co_await passes(*places_[slot].connection, pool_core::check::ping);
    lock_and_act act(*this, clock::now());
    core_.cleaned(slot, alive, act.now, act.todo);
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
        core_.close(act.now, act.todo);
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
                if (core_.in_use(slot) || core_.cleaning(slot)) places_[slot].connection->session().abort();
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
    std::lock_guard lock(mutex_);
    core_.suspend();
}

void pool_impl::resume()
{
    lock_and_act act(*this, clock::now());
    core_.resume(act.now, act.todo);
}

void pool_impl::abandon() noexcept
{
    lock_and_act act(*this, coarse_now());
    core_.close(act.now, act.todo);
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
    {
        lock_and_act act(*this, clock::now());
        armed_for_ = time_point::max();
        core_.tick(act.now, act.todo);
        for (slot_id slot = 0; slot < places_.size(); ++slot) {
            auto& p = places_[slot];
            bool leased = core_.in_use(slot);
            if (!leased && !core_.cleaning(slot)) continue;
            p.connection->session().socket().guard().expire(act.now);
            if (!leased || options_.leak_threshold.count() == 0 || p.leak_reported) continue;
            if (act.now - p.leased_at < options_.leak_threshold) continue;
            p.leak_reported = true;
            leaks.push_back({options_.name, act.now - p.leased_at, p.leased_by});
        }
    }
    if (options_.observer)
        for (auto& leak : leaks) options_.observer->on_leak(leak);
}

pool_stats pool_impl::stats() const
{
    std::lock_guard lock(mutex_);
    auto s = counters_;
    auto& n = core_.count();
    s.idle = n.idle;
    s.in_use = n.in_use;
    s.connecting = n.connecting;
    s.cleaning = n.cleaning;
    s.waiting = n.waiting;
    s.capacity = core_.capacity();
    s.acquired += n.in_use; // counted when they come back
    if (connect_failure_) s.last_connect_failure = first_line(what_of(connect_failure_));
    return s;
}

} // namespace pgcoro::detail
