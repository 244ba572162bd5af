// The connections' side of the multiplexer: each worker takes its share of the queue, again and again.
#include "connection/settings_transaction.hpp"
#include "multiplexer/impl.hpp"
#include "pool/pool_impl.hpp"
#include "resilience/is_a.hpp"
#include "resilience/text.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace pgcoro::detail
{

namespace
{

// The error for a statement that may or may not have been executed.
std::exception_ptr unknown_outcome(const std::exception_ptr& broken, std::string_view sql)
{
    diagnostics diag;
    is_a<error>(broken, [&](auto& e) {
        diag = e.diag();
        return true;
    });
    return std::make_exception_ptr(commit_unknown(
        "the connection was lost before the statement was answered: it may or may not have been "
        "done (" +
            first_line(broken) + ")",
        std::move(diag), sql));
}

// The error for a statement that is not tried again.
std::exception_ptr lost_for_good(const std::exception_ptr& broken, std::string_view sql, int losses)
{
    try {
        std::rethrow_exception(broken);
    } catch (const connection_error& e) {
        auto why = first_line(broken);
        if (losses > 1) why += " (" + std::to_string(losses) + " connections in a row)";
        return std::make_exception_ptr(connection_error(e.why(), why, e.diag(), sql));
    } catch (...) {
        return broken;
    }
}

std::exception_ptr context_ended()
{
    return std::make_exception_ptr(
        connection_error(connection_failure::lost, "the I/O context of the multiplexer was destroyed"));
}

} // namespace

asio::awaitable<lease> multiplexer_impl::acquire()
{
    auto pool = pool_.lock();
    if (!pool) throw pool_closed("pool '" + pool_name_ + "' was destroyed");
    co_return co_await pool->acquire(pool->options().acquire_timeout, std::source_location());
}

multiplexer_impl::worker_ptr multiplexer_impl::make_worker()
{
    return std::make_shared<connection_worker>(shared_from_this(), executor_);
}

// With the lock. The workers must be started without it.
std::vector<multiplexer_impl::worker_ptr> multiplexer_impl::make_missing_workers()
{
    std::vector<worker_ptr> made;
    for (auto missing = core_.workers_to_start(); missing > 0; --missing) {
        made.push_back(make_worker());
        core_.start(*made.back());
    }
    return made;
}

multiplexer_impl::worker_ptr multiplexer_impl::make_exclusive(multiplexer_core::statement_ptr s)
{
    auto made = make_worker();
    core_.start_exclusive(*made, std::move(s));
    return made;
}

// Workers run on the multiplexer's executor, and start after this call.
void multiplexer_impl::start(const std::vector<worker_ptr>& workers)
{
    for (auto& w : workers)
        asio::post(w->strand, [self = shared_from_this(), w] {
            auto ended = asio::bind_cancellation_slot(w->stop.slot(), [w](std::exception_ptr) {});
            auto work = w->exclusive() ? self->run_exclusive(w) : self->serve_queue(w);
            asio::co_spawn(w->strand, std::move(work), std::move(ended));
        });
}

asio::awaitable<void> multiplexer_impl::serve_queue(worker_ptr mine)
{
    using step = multiplexer_core::step;
    auto self = shared_from_this();
    mine->begun = true;
    for (bool again = true;; again = false) {
        auto what = next_step(*mine, again);
        if (what == step::end) co_return;
        if (what == step::work) {
            lease held;
            std::exception_ptr failure;
            try {
                held = co_await acquire();
            } catch (...) {
                failure = std::current_exception();
            }
            if (failure) {
                no_connection(*mine, failure);
                co_return;
            }
            bool same_again = false;
            do {
                if (!start_batch(*mine)) break;
                std::exception_ptr broken;
                try {
                    co_await run_batch(held->host(), *mine);
                } catch (...) {
                    broken = std::current_exception();
                }
                // Misuse such as COPY concerns the caller of that statement only.
                bool misuse = is_a<std::logic_error>(broken) && mine->sent_count() == 1;
                if (misuse) static_cast<batch&>(*mine).failed(0, broken, false);
                same_again = end_batch(*mine, broken);
                co_await asio::this_coro::reset_cancellation_state(); // a request to stop may have come too
                                                                      // late
            } while (same_again);
            again = true;
        }
        // Callers whose statements were answered go first: their next statements travel together.
        co_await asio::post(asio::deferred);
    }
}

// One statement on a separate lease, as the pool does it.
asio::awaitable<void> multiplexer_impl::run_exclusive(worker_ptr mine)
{
    auto self = shared_from_this();
    mine->begun = true;
    while (start_batch(*mine)) {
        lease held;
        std::exception_ptr failure;
        try {
            held = co_await acquire();
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            no_connection(*mine, failure);
            co_return;
        }
        auto& its = static_cast<batch&>(*mine);
        batch::statement only;
        if (its.next(only)) { // otherwise its caller has gone
            request r;
            r.sql = only.sql;
            r.args = only.args;
            result got;
            auto& session = held->session();
            std::optional<settings_transaction> around;
            if (only.settings) r.with = &around.emplace(session.settings_of_transaction(), *only.settings).get();
            auto sent_before = session.sent();
            mine->restart_clock(clock::now());
            try {
                got = co_await session.run(r);
            } catch (...) {
                failure = std::current_exception();
            }
            if (session.sent() == sent_before) mine->was_not_sent(0);
            held.release(); // before its caller goes on, and may want a connection
            if (!failure) {
                its.answered(0, std::move(got));
                its.synced(1);
            }
        }
        bool broken = is_a<connection_error>(failure) || is_a<boost::system::system_error>(failure);
        if (failure && !broken) its.failed(0, failure, false);
        end_batch(*mine, broken ? failure : nullptr);
    }
    end_exclusive(*mine);
}

multiplexer_core::step multiplexer_impl::next_step(connection_worker& w, bool again)
{
    std::lock_guard lock(mutex_);
    auto what = core_.next_step(w, again);
    if (what == multiplexer_core::step::end) disarm_at_rest();
    return what;
}

// False if there is nothing to run.
bool multiplexer_impl::start_batch(connection_worker& w)
{
    std::vector<worker_ptr> workers;
    bool any = false;
    {
        std::lock_guard lock(mutex_);
        auto result = core_.start_batch(w, clock::now());
        any = result.any;
        workers = make_missing_workers();
        for (auto& s : result.exclusive) workers.push_back(make_exclusive(std::move(s)));
    }
    start(workers);
    return any;
}

// True if some of its statements are to be run again on the same connection.
bool multiplexer_impl::end_batch(connection_worker& w, const std::exception_ptr& broken)
{
    auto how = broken ? multiplexer_core::ending::lost : multiplexer_core::ending::complete;
    multiplexer_core::end_batch_result result;
    {
        std::lock_guard lock(mutex_);
        result = core_.end_batch(w, how, clock::now());
    }
    tell(result.settled, broken, "was closed meanwhile");
    return result.same_again;
}

void multiplexer_impl::no_connection(connection_worker& w, const std::exception_ptr& why)
{
    std::vector<multiplexer_core::statement_ptr> told;
    {
        std::lock_guard lock(mutex_);
        told = core_.no_connection(w);
        disarm_at_rest();
    }
    for (auto& s : told) tell_failure(*s, why);
}

void multiplexer_impl::end_exclusive(connection_worker& w)
{
    std::lock_guard lock(mutex_);
    core_.end_exclusive(w);
    disarm_at_rest();
}

void multiplexer_impl::destroyed(connection_worker& w) noexcept
{
    multiplexer_core::verdicts told;
    {
        std::lock_guard lock(mutex_);
        told = core_.destroyed(w, clock::now());
    }
    if (!told.empty()) tell(told, context_ended(), "ended with its I/O context");
}

void multiplexer_impl::tell(const multiplexer_core::verdicts& told, const std::exception_ptr& broken,
                            const char* closed_when) const
{
    using verdict = multiplexer_core::verdict;
    for (auto& [s, what] : told) {
        auto& sql = s->known->sql;
        if (what == verdict::closed)
            tell_failure(*s, closed(closed_when));
        else if (what == verdict::unknown)
            tell_failure(*s, unknown_outcome(broken, sql));
        else
            tell_failure(*s, lost_for_good(broken, sql, s->losses()));
    }
}

// With the lock. Nobody, too, if the worker is being destroyed.
multiplexer_impl::stop_request multiplexer_impl::request_to_stop(multiplexer_core::worker* w) noexcept
{
    if (!w) return {};
    return {static_cast<connection_worker*>(w)->weak_from_this().lock(), w->batches()};
}

// Without the lock. Stops a batch that nobody waits for any more. The pool resets the connection, and the
// worker goes on with another one.
void multiplexer_impl::stop(const stop_request& r)
{
    if (!r.whom) return;
    asio::post(r.whom->strand, [w = r.whom, batch = r.batch] {
        bool same = w->running() && w->batches() == batch;
        if (w->begun && same) w->stop.emit(asio::cancellation_type::terminal);
    });
}

} // namespace pgcoro::detail
