// What the pool does in the background for its connections: opening, cleaning, keeping alive.
#include "connection/clock.hpp"
#include "connection/conninfo.hpp"
#include "connection/ends_by.hpp"
#include "pool/ends_unless.hpp"
#include "pool/lock_and_act.hpp"
#include "resilience/is_a.hpp"
#include "resilience/text.hpp"

#include <pgcoro/detail/time.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <iterator>

namespace pgcoro::detail
{

namespace
{

// Will the same attempt fail again, until somebody changes something?
bool is_permanent(const std::exception_ptr& e)
{
    return is_a<connection_error>(e, [](auto& known) { return !known.is_transient(); });
}

// on_connect may choose all settings of a session but this one.
void check_encoding(connection& c)
{
    if (c.session().broken() || c.session().speaks_utf8()) return;
    throw connection_error(connection_failure::options,
                           "on_connect set client_encoding to " + std::string(c.parameter_status("client_encoding")) +
                               ", which cannot be honoured, because pgcoro decodes all text as UTF-8");
}

} // namespace

// On the pool's own executor, and not before the caller, who may be a destructor, is through. On a strand of
// its own, because work that is ended may run elsewhere at that time.
void pool_impl::start(background_work work, slot_id slot, std::shared_ptr<one_shot> stop)
{
    asio::post(executor_, [self = shared_from_this(), work, slot, stop = std::move(stop)] {
        asio::co_spawn(asio::make_strand(self->executor_), run_background(self, work, slot, stop),
                       asio::detached);
    });
}

asio::awaitable<void> pool_impl::run_background(std::shared_ptr<pool_impl> self, background_work work,
                                                slot_id slot, std::shared_ptr<one_shot> stop)
{
    auto running = ((*self).*work)(slot);
    co_await ends_unless(std::move(stop), std::move(running));
}

// Throws once the pool has ended: the objects that a hook uses may be gone.
void pool_impl::check_hooks_may_run() const
{
    if (told_->is_closed()) throw pool_closed("pool '" + options_.name + "' is closed");
}

// A hook of the user's, cancelled when it takes too long.
asio::awaitable<void> pool_impl::run_hook(asio::awaitable<void> hook, const char* name, time_point deadline)
{
    bool ended = co_await ends_by(deadline, std::move(hook));
    if (!ended) throw deadline_exceeded("pool '" + options_.name + "': the hook " + name + " took too long");
}

// A new connection, with all that makes it one of this pool's.
asio::awaitable<std::unique_ptr<connection>> pool_impl::open(time_point deadline, watched_by who)
{
    auto options = connection_options_;
    auto hooks_end = [&] { return std::min(deadline, time_after(connect_timeout_of(*options))); };
    if (options->credentials) check_hooks_may_run();
    auto session = co_await session::connect(options, options_.name, deadline);
    auto made = std::make_unique<connection>(std::move(session));
    // Behind a pooler in transaction mode the session is not ours to undo anything in.
    if (options_.reset != reset_mode::never && connection_options_->pooler != pooler_mode::transaction)
        made->session().watch_changes();
    if (options_.on_connect) {
        check_hooks_may_run();
        auto until = hooks_end();
        co_await run_hook(options_.on_connect(*made), "on_connect", until);
        co_await made->session().recover(until, true);
        check_encoding(*made);
    }
    // A server that shuts down may have ended the session while this thread was busy elsewhere.
    if (made->session().looks_dead())
        throw connection_error(connection_failure::lost,
                               "the server ended the session right after the login (" + made->session().peer() + ")");
    made->session().keep_changes();
    if (who == watched_by::pool) made->session().set_watched();
    co_return made;
}

asio::awaitable<void> pool_impl::connect(slot_id slot)
{
    auto self = shared_from_this();
    std::unique_ptr<connection> made;
    std::exception_ptr failure;
    try {
        made = co_await open(time_point::max(), watched_by::pool);
    } catch (...) {
        failure = std::current_exception();
    }
    std::shared_ptr<const std::string> why;
    if (failure) why = std::make_shared<const std::string>(first_line(failure));
    lock_and_act act(*this, clock::now());
    act.connect_ended = true;
    act.connect_failure = failure;
    places_[slot].stop.reset();
    if (!is_cancellation(failure)) connect_failure_ = why; // else by the pool's own end
    if (failure) {
        ++counters_.connect_failures;
        connect_failed_at_ = act.now;
        core_.connect_failed(slot, is_permanent(failure), act.now, act.todo);
    } else {
        ++counters_.connects;
        places_[slot].from_outside = made->session().cut_from_outside();
        auto retirement = made->session().retirement();
        places_[slot].connection = std::move(made);
        if (retirement)
            core_.connected(slot, act.now, act.todo, retirement->first, retirement->last);
        else
            core_.connected(slot, act.now, act.todo);
    }
}

// False when an operation is still under way at the deadline.
asio::awaitable<bool> pool_impl::wait_until_idle(session& s, time_point deadline)
{
    if (!s.busy()) co_return true;
    auto idle = s.when_idle();
    auto why = co_await idle->async_wait(deadline, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    co_return why == wake::done;
}

// Brings a connection back to a state in which the next caller can have it; false, or an exception, if that
// did not succeed.
asio::awaitable<bool> pool_impl::bring_back(connection& c, time_point deadline)
{
    auto& session = c.session();
    // A lease that ended while another coroutine still ran a statement on it: that one must be out first.
    bool idle = co_await wait_until_idle(session, deadline);
    if (!idle) {
        session.abort();
        co_await wait_until_idle(session, time_after(stuck_after));
        co_return false;
    }
    if (!session.clean()) co_await session.recover(deadline, true);
    if (options_.on_release) {
        check_hooks_may_run();
        co_await run_hook(options_.on_release(c), "on_release", deadline);
        if (c.is_closed()) co_return false; // by the hook
        if (!session.clean()) co_await session.recover(deadline, true);
    }
    if (needs_undo(session)) co_await session.undo(deadline, options_.reset == reset_mode::always);
    co_return session.clean();
}

asio::awaitable<void> pool_impl::clean(slot_id slot)
{
    auto self = shared_from_this();
    auto& own = places_[slot];
    auto& connection = *own.connection;
    bool usable = false;
    try {
        usable = co_await bring_back(connection, time_after(options_.cleanup_timeout));
    } catch (...) {
        // Why does not matter to anybody by now: it is closed, and that is told to the observer.
    }
    bool stuck = !connection.is_closed() && connection.session().busy();
    std::vector<std::unique_ptr<pgcoro::connection>> over; // closed without the lock
    lock_and_act act(*this, clock::now());
    own.stop.reset();
    if (stuck) {
        auto still = [](auto& c) { return !c->is_closed() && c->session().busy(); };
        auto ended = std::partition(stuck_.begin(), stuck_.end(), still);
        std::move(ended, stuck_.end(), std::back_inserter(over));
        stuck_.erase(ended, stuck_.end());
        stuck_.push_back(std::move(own.connection));
    }
    core_.cleaned(slot, usable, act.now, act.todo);
}

// Asks an idle connection for an answer.
asio::awaitable<void> pool_impl::check(slot_id slot)
{
    auto self = shared_from_this();
    auto& session = places_[slot].connection->session();
    bool alive = false;
    try {
        if (!session.looks_dead()) {
            co_await session.ping(time_after(options_.ping_timeout));
            alive = true;
        }
    } catch (...) {
        // Whatever it is, the connection is not known to work.
    }
    if (!alive) session.give_up();
    lock_and_act act(*this, clock::now());
    places_[slot].stop.reset();
    core_.checked(slot, alive, act.now, act.todo);
}

} // namespace pgcoro::detail
