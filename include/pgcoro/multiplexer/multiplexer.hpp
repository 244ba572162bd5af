#pragma once

#include <pgcoro/connection/querying.hpp>
#include <pgcoro/connection/with_settings.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/multiplexer/options.hpp>
#include <pgcoro/pool/pool.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

namespace PGCORO_API pgcoro
{

namespace detail
{
class multiplexer_impl;

// What an operation keeps of the multiplexer that it was called on: all but the reference that keeps it open.
struct multiplexer_call
{
    std::shared_ptr<multiplexer_impl> impl;
    std::chrono::milliseconds timeout;
    trace_context trace;
    bool read;

    boost::asio::awaitable<result> run_kept(std::string_view sql, params& args);
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, params& args);
};
} // namespace detail

/// A multiplexer's figures at one moment. The counters count since the multiplexer was constructed.
struct multiplexer_stats
{
    std::size_t waiting = 0;      ///< statements that are not sent yet
    std::size_t connections = 0;  ///< connections with a batch under way
    std::uint64_t statements = 0; ///< statements sent in batches, including those that are run again
    std::uint64_t batches = 0;    ///< round trips
    std::uint64_t run_again = 0; ///< statements run again, because one before them failed, the connection was
                                 ///< lost, or a prepared statement was out of date
    std::uint64_t exclusive = 0; ///< statements run on a separate lease
};

/// Sends single statements of many coroutines together, over few connections of a pool:
///
/// ```cpp
/// pgcoro::multiplexer mux(io.get_executor(), pool);
/// auto cents = co_await mux.read().query_value<std::int64_t>("select cents from account where id = $1", 7);
/// co_await mux.execute("update account set seen = now() where id = $1", 7);
/// ```
///
/// @par When to use it
/// Many callers at once, each with a short statement that stands alone: one round trip serves many of them,
/// at a fraction of the client's and the server's processor time. With few callers a multiplexer is no better
/// than `pool`; with one it is worse. Statements that belong together need `transactional()`.
///
/// @par read()
/// For statements that change nothing. Such statements share a transaction (one Sync) with those of other
/// callers, and are run again if the connection is lost before the answer came, on up to three connections.
/// Two conditions must hold for that: the caller says so by calling read(), and PostgreSQL's parser, which is
/// built into the library, finds a single SELECT, VALUES or TABLE without data-modifying WITH and without FOR
/// UPDATE. What read() runs as anything else (an INSERT, a text of more than 8 KiB, the syntax of a newer
/// server) is a separate transaction and is run once. The parser does not see what functions do: call a
/// function that writes through the multiplexer itself, not through read().
///
/// @par The multiplexer itself
/// Runs each statement once, as a separate transaction, although the statements share round trips. If the
/// connection is lost after a statement was sent, its caller gets `commit_unknown`: the statement may or may
/// not have been executed. Statements that were not sent yet go to another connection.
///
/// @par Which statements travel together
/// The first time that a text is run, it is sent alone. After that, SELECT, INSERT, UPDATE, DELETE and MERGE
/// travel together. Any other statement, and one that takes longer than `slow_after`, is exclusive: it runs
/// on a separate lease, like a statement of `pool`. Changes to the session (SET, LISTEN, temporary tables,
/// advisory locks of the session) are undone when that lease ends, as `pool_options::reset` says, so they
/// have no effect on later statements: use `pool::acquire` for them. Statements that begin or end a
/// transaction (BEGIN, COMMIT, ROLLBACK, SAVEPOINT, PREPARE TRANSACTION …) are refused.
///
/// @par Changed tables
/// A statement that was prepared on a connection before a table it uses was changed is prepared again, and
/// run again on the same connection. Callers do not see that.
///
/// @par Errors
/// Those of `querying`, and: `deadline_exceeded` after the timeout; `pool_timeout` if `max_waiting`
/// statements wait already; what `pool::acquire` throws if no connection can be had; `pool_closed` once the
/// pool is closed or destroyed, or the multiplexer is destroyed; `std::logic_error` for transaction control.
/// Each caller gets its own exception object.
///
/// @par Cancellation
/// Any kind, whether the statement is queued, sent or exclusive. The caller goes on at once with
/// `operation_aborted`; no other caller is disturbed. A statement that was not sent yet never will be. The
/// server is asked to stop a statement that was sent when nobody waits for any statement of the same batch;
/// until that happens, its answer is read and discarded.
///
/// @par Thread safety
/// All functions may be called from any thread. The executor may have any number of threads. A coroutine
/// resumes on its own executor. Statements are sent in the order in which they were asked for.
///
/// @par Lifetime
/// The context of the executor must outlive the multiplexer. The pool may be moved, and may be destroyed
/// before. Copies of a multiplexer share everything but timeout and span. An operation keeps what it needs,
/// so that it may be called on a temporary copy. When the last copy is destroyed, statements that were not sent yet
/// fail with `pool_closed`.
class multiplexer : public querying<multiplexer, detail::multiplexer_call>
{
public:
    /// See read().
    class reader : public querying<reader, detail::multiplexer_call>
    {
    public:
        /// As `multiplexer::with`, for statements that may be run again.
        with_settings<reader> with(local_settings settings);

    private:
        friend class querying<reader, detail::multiplexer_call>;
        friend class with_settings<reader>;
        friend class multiplexer;
        reader(std::shared_ptr<detail::multiplexer_impl> impl, std::chrono::milliseconds timeout) noexcept;
        operator detail::multiplexer_call() const; // NOLINT(google-explicit-constructor): querying<> converts
        detail::multiplexer_call call(bool read) const;

        std::shared_ptr<detail::multiplexer_impl> impl_;
        std::chrono::milliseconds timeout_;
        trace_context trace_;
    };

    /// Connections are taken from the pool when there are statements. Throws `std::invalid_argument` if an
    /// option is out of its range.
    multiplexer(boost::asio::any_io_executor executor, pool& connections, multiplexer_options options = {});

    /// For statements that change nothing, and may be run again.
    reader& read() noexcept { return reader_; }

    /// The same multiplexer, with another timeout for statements that are run through the copy. 0, or a
    /// duration too long to count, is without a limit. Throws `std::invalid_argument` if `timeout` is
    /// negative. See `multiplexer_options::timeout`.
    multiplexer with_timeout(std::chrono::milliseconds timeout) const;
    /// The same multiplexer; each statement that is run through the copy is a span from the call to its
    /// answer, and a child of `parent`. See `observer::on_span`.
    multiplexer traced(const trace_context& parent) const;

    /// As `pool::with`: statements with settings of the server that hold for the statement only. Each is a separate
    /// transaction on its connection, and travels with the statements of other callers.
    with_settings<multiplexer> with(local_settings settings);

    /// The figures of this moment.
    multiplexer_stats stats() const;

private:
    friend class querying<multiplexer, detail::multiplexer_call>;
    friend class with_settings<multiplexer>;
    explicit multiplexer(reader same) noexcept;
    operator detail::multiplexer_call() const; // NOLINT(google-explicit-constructor): querying<> converts

    reader reader_;
};

} // namespace pgcoro
