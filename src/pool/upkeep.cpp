// What the pool does in the background for its connections: opening, cleaning, keeping alive.
#include "connection/clock.hpp"
#include "pool/ends_by.hpp"
#include "pool/lock_and_act.hpp"
#include "resilience/is_a.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

// Will the same attempt fail again, until somebody changes something?
bool is_permanent(const std::exception_ptr& e)
{
    return is_a<connection_error>(e, [](auto& known) { return !known.is_transient(); });
}

} // namespace

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
    bool ended = co_await ends_by(deadline, std::move(hook));
    if (!ended) throw deadline_exceeded("pool '" + options_.name + "': the hook " + name + " took too long");
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
    // Behind a pooler in transaction mode the session is not ours to undo anything in.
    if (options_.reset != reset_mode::never && connection_options_->pooler != pooler_mode::transaction)
        made->session().watch_dirt();
    if (options_.on_connect) {
        auto until = std::min(deadline, clock::now() + connection_options_->connect_timeout);
        co_await bounded(options_.on_connect(*made), "on_connect", until);
        co_await made->session().recover(until, true);
    }
    made->session().keep_dirt();
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
        if (options_.on_release) co_await bounded(options_.on_release(connection), "on_release", deadline);
        if (!connection.is_closed()) { // else by the hook
            if (!session.clean()) co_await session.recover(deadline, true);
            if (needs_undo(session)) co_await session.undo(deadline, options_.reset == reset_mode::always);
            usable = session.clean();
        }
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

} // namespace pgcoro::detail
