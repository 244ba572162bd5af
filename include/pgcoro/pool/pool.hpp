#pragma once

#include <pgcoro/connection/with_settings.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/observer/operation_name.hpp>
#include <pgcoro/pool/options.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>

namespace PGCORO_API pgcoro
{

namespace detail
{
class multiplexer_impl;
class pool_impl;
class transaction_run;
struct running_transaction;
} // namespace detail

/// A connection on loan from a pool, owned exclusively; it goes back when the lease ends. Returned in the
/// middle of something (a query, a transaction) it is brought back in the background before anyone else gets
/// it.
///
/// Movable. Empty after a move and after release(): using it then throws `std::logic_error`. May outlive
/// the pool, and must not outlive the pool's I/O context. Used by one thread at a time.
///
/// In a process that was forked off while the lease was out, using it throws `std::logic_error`, and its end
/// does not disturb the parent's connection.
class lease
{
public:
    lease() = default;
    lease(lease&& other) noexcept;
    lease& operator=(lease&& other) noexcept;
    ~lease();

    connection& operator*() const { return get(); }
    connection* operator->() const { return &get(); }
    /// The connection. Throws `std::logic_error` when the lease is empty, and in a forked child.
    connection& get() const;
    /// Is there a connection?
    explicit operator bool() const noexcept { return connection_ != nullptr; }

    /// Gives the connection back now. Does nothing when the lease is empty.
    void release() noexcept;

private:
    friend class detail::pool_impl;
    friend class detail::transaction_run;
    lease(detail::pool_impl& pool, connection* c, std::uint32_t slot) noexcept;
    // What it is used for, to be reported if it lasts; kept by the caller for as long as the lease.
    void used_for(detail::running_transaction& what);

    detail::pool_impl* pool_ = nullptr; // lives until all leases are back
    connection* connection_ = nullptr;
    std::uint32_t slot_ = 0;
};

/// A pool's figures at one moment; the counters count since it was made.
struct pool_stats
{
    std::size_t idle = 0;               ///< open, and nobody has it
    std::size_t in_use = 0;             ///< leased
    std::size_t connecting = 0;         ///< being opened
    std::size_t cleaning = 0;           ///< being brought back to a usable state, or checked
    std::size_t waiting = 0;            ///< callers in the queue
    std::size_t overflow = 0;           ///< open ones beyond `size`
    std::size_t capacity = 0;           ///< size + max_overflow
    std::uint64_t acquired = 0;         ///< leases given, at once or after a wait
    std::uint64_t queued = 0;           ///< acquires that had to wait
    std::uint64_t acquire_failures = 0; ///< timed out, refused or cancelled
    std::uint64_t connects = 0;         ///< connections opened
    std::uint64_t connect_failures = 0; ///< connects that failed
    std::uint64_t closes = 0;           ///< connections closed, for whatever reason
    std::uint64_t found_dead = 0;       ///< of those, found broken
    std::uint64_t cleanups = 0;         ///< leases that came back in the middle of something
    std::string last_connect_failure;   ///< its first line; empty when the last connect succeeded
};

class pool;
class named_pool;

/// A pool's connections and shorthands under a name and a span; see `pool::named` and `pool::traced`. A cheap
/// value: an operation keeps a copy of it. Must not outlive the pool.
class named_pool : public querying<named_pool, named_pool>
{
public:
    named_pool(pool& p, std::string_view operation, const trace_context& parent = trace_context()) noexcept
        : pool_(&p)
        , name_(operation)
        , trace_(parent)
    {}

    /// The same under a name.
    named_pool named(std::string_view operation) const noexcept
    {
        return named_pool(*pool_, operation, trace_);
    }
    /// The same under a span.
    named_pool traced(const trace_context& parent) const noexcept
    {
        return named_pool(*pool_, name_, parent);
    }

    /// As `pool::acquire`: the wait for it is a span, and the statements on it have the name, and are
    /// children of the same span, until the lease ends.
    boost::asio::awaitable<lease> acquire(std::source_location where = std::source_location::current());
    boost::asio::awaitable<lease> acquire(std::chrono::milliseconds within,
                                          std::source_location where = std::source_location::current());

    /// As `pool::with`.
    with_settings<named_pool> with(local_settings settings);

private:
    friend class querying<named_pool, named_pool>;
    friend class with_settings<named_pool>;
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    static boost::asio::awaitable<lease> acquire_copy(named_pool self, std::chrono::milliseconds within,
                                                      std::source_location where);

    pool* pool_;
    operation_name name_;
    trace_context trace_;
};

/// Connections to one database, kept open and lent out in the order of asking.
///
/// A released connection goes to the caller that waits longest; newcomers do not overtake. While callers
/// wait, new connections are opened, up to `size + max_overflow`; whichever is first, a returned or a new
/// one, serves them.
///
/// **Threads.** All functions may be called from any thread. A coroutine that waits resumes on its own
/// executor, and uses its connection there.
///
/// **Lifetime.** The pool's own work (opening, cleaning, one timer) runs on the executor it was made with,
/// and keeps that executor's context busy until close() or the destructor. Its context must outlive it, and
/// so must each context that a borrower ran on: an idle connection stays registered where it was last used.
/// After ~pool(), and after close() returned, no hook is called, and no function of the observer by the
/// pool's own work; see `pool_options::on_connect` and `pool_options::observer`.
///
/// **fork().** A forked child does not use its parent's connections: the pool forgets them, without a word to
/// the server, and opens its own. Leases that were out are unusable in the child, and the parent is not
/// disturbed. As with all of Asio, `io_context::notify_fork` must be called before and after the fork if the
/// child goes on with the same I/O context. No other thread may be inside the pool at the time of the fork.
class pool : public querying<pool>
{
public:
    /// Opens nothing yet. Throws `std::invalid_argument` (an option is out of range) or `connection_error` (no descriptor is left).
    pool(boost::asio::any_io_executor executor, pool_options options);
    /// With default options for the database of a URI.
    pool(boost::asio::any_io_executor executor, std::string_view uri);
    pool(pool&&) noexcept = default;
    pool& operator=(pool&& other) noexcept;
    /// Closes what is idle, and cancels what is being opened or cleaned. Leases that are still out stay
    /// usable; their connections are closed on return. Waits for calls to the observer that are under way on
    /// other threads.
    ~pool();

    /// A connection. Does not suspend when one is idle and needs no check.
    /// Throws `pool_timeout` after `acquire_timeout`, or at once beyond `max_waiters`; `pool_closed`;
    /// `connection_error` when no connection can be had and trying again would not help (wrong password …).
    /// Cancellation: any kind; a connection that was on its way goes to the next in the queue.
    boost::asio::awaitable<lease> acquire(std::source_location where = std::source_location::current());
    /// The same, waiting no longer than `within`: `milliseconds::max()` waits without limit; zero and less
    /// succeed only if no wait is needed, and else throw `pool_timeout` at once.
    boost::asio::awaitable<lease> acquire(std::chrono::milliseconds within,
                                          std::source_location where = std::source_location::current());

    /// Statements with settings of the server that hold for the statement only, such as the tenant that row-level security
    /// looks at, search_path or role. One round trip, whatever the number of settings; see `with_settings`.
    ///
    /// ```cpp
    /// auto mine = co_await pool.with({{"app.tenant", id}, {"role", "app"}}).query("select * from account");
    /// ```
    with_settings<pool> with(local_settings settings);

    /// Opens connections until `size` of them are there, and has the pool keep them open from now on,
    /// whatever `idle_timeout` is. Throws the `connection_error` of the first that fails. Cancellation: any
    /// kind; those under way arrive.
    boost::asio::awaitable<void> warm_up();

    /// Connects once, outside the pool, and asks the server for an answer: for a service that would rather
    /// not start than start without its database. Ends within `acquire_timeout`. Throws `connection_error`
    /// whose why() tells the cause.
    boost::asio::awaitable<void> verify();

    /// Replaces all connections: closes the idle at once, those in use when they come back, and those that
    /// are being opened when they arrive. For a changed password, or a database that moved. Callers get only
    /// connections that were begun later.
    void evict();

    /// Hands out nothing until resume(): callers wait, up to their timeout. Leases that are out stay.
    void suspend();
    void resume();

    /// Refuses new callers and those who wait (`pool_closed`), waits until all leases are back, but no longer
    /// than `within`, then cuts what is still out. `milliseconds::max()` waits without limit; zero and less
    /// cut at once. Cancellation: any kind; the pool stays closed.
    boost::asio::awaitable<void> close(std::chrono::milliseconds within = std::chrono::seconds(30));

    /// The shorthands under the name of an operation, as the observer is told it:
    /// `co_await pool.named("load account").query_value<account>(…)`. The name is copied.
    named_pool named(std::string_view operation) noexcept { return named_pool(*this, operation); }

    /// The shorthands, and acquire(), under a span of the caller's: what they do is told to an observer that
    /// wants spans as its children, if it is sampled. `pool.named("load account").traced(parent)` is both.
    named_pool traced(const trace_context& parent) noexcept { return named_pool(*this, {}, parent); }

    /// The figures of this moment.
    pool_stats stats() const;
    /// The same for who may outlive the pool: nothing once it is gone. From any thread.
    std::function<std::optional<pool_stats>()> probe() const;
    /// What its transactions may spend on retries. From any thread.
    pgcoro::retry_budget& retry_budget() const;
    /// The options it was made with.
    const pool_options& options() const;

    /// For what is built on it, and may outlive it.
    const std::shared_ptr<detail::pool_impl>& shared() const;

private:
    friend class querying<pool>;
    friend class with_settings<pool>;
    friend class named_pool;
    friend class detail::multiplexer_impl;
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_one(std::string_view sql, const params& args, const local_settings& settings,
                                           std::string_view operation, const trace_context* trace);
    detail::pool_impl& impl() const;

    std::shared_ptr<detail::pool_impl> impl_;
};

} // namespace pgcoro
