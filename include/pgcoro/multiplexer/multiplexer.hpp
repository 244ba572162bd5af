#pragma once

#include <pgcoro/connection/querying.hpp>
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
} // namespace detail

/// A multiplexer's figures at one moment; the counters count since it was made.
struct multiplexer_stats
{
    std::size_t waiting = 0;      ///< callers that are not sent yet
    std::size_t connections = 0;  ///< at work now
    std::uint64_t statements = 0; ///< sent in batches, those run again included
    std::uint64_t batches = 0;    ///< round trips
    std::uint64_t run_again = 0;  ///< behind one that failed, or after a connection was lost
    std::uint64_t apart = 0;      ///< run on a connection of their own
};

/// Single statements of many coroutines, sent together over few connections of a pool:
///
/// ```cpp
/// pgcoro::multiplexer mux(io.get_executor(), pool);
/// auto cents = co_await mux.read().query_value<std::int64_t>("select cents from account where id = $1", 7);
/// co_await mux.execute("update account set seen = now() where id = $1", 7);
/// ```
///
/// **When to use it.** Many callers at once, each with a short statement that stands alone: then it needs a
/// fraction of the client's and the server's processor time, because one round trip serves many. With few
/// callers it is no better than `pool`, with one it is worse. Statements that belong together need a
/// `transaction`; what changes the session (SET, LISTEN, temporary tables, advisory locks) a `lease`.
///
/// **read()** is for statements that change nothing, which is the caller's word. They share a transaction
/// with others' (one Sync), and may be run more than once: those behind one that fails are run again, and all
/// whose answer is missing when the connection is lost, three times at most.
/// **The multiplexer itself** runs statements as transactions of their own, each once, though they share the
/// round trip. The connection lost, `commit_unknown` says that it may or may not have been done; what was not
/// sent yet goes to another connection.
///
/// A statement whose text is new here is first sent alone, to see what it is. SELECT, INSERT, UPDATE, DELETE
/// and MERGE travel together from then on; anything else, and what is slow (`slow_after`), runs on a lease of
/// its own, as `pool` does it. What read() runs as anything but SELECT counts as a write.
///
/// **Errors** as with `querying`, and `deadline_exceeded` after the timeout; `pool_timeout` beyond
/// `max_waiting`; what acquire() throws, when no connection can be had; `pool_closed` when pool or
/// multiplexer are gone.
///
/// **Cancellation:** any kind. The caller goes on at once with `operation_aborted`; nobody else is disturbed.
/// Not sent yet, the statement never will be; else its answer is thrown away, and the server is told to stop
/// only when nobody waits for any of those that it was sent with.
///
/// **Threads.** All functions may be called from any thread; a coroutine resumes on its own executor. First
/// come, first served; whoever asks again queues again.
///
/// **Lifetime.** Its connections are worked on the executor it was made with, whose context must outlive it;
/// the pool must, too, and not be moved. Copies share everything but timeout and span. It, and read()'s
/// reference, must live until the operations end; with the last copy, who is not sent yet gets `pool_closed`.
class multiplexer : public querying<multiplexer>
{
public:
    /// See read().
    class reader : public querying<reader>
    {
    public:
        /// As query(), with parameters made by hand.
        boost::asio::awaitable<result> run(std::string_view sql, params args);

    private:
        friend class querying<reader>;
        friend class multiplexer;
        reader(std::shared_ptr<detail::multiplexer_impl> impl, std::chrono::milliseconds timeout) noexcept;
        boost::asio::awaitable<result> run_kept(std::string_view sql, params& args);
        boost::asio::awaitable<result> run_as(std::string_view sql, params& args, bool read);

        std::shared_ptr<detail::multiplexer_impl> impl_;
        std::chrono::milliseconds timeout_;
        trace_context trace_;
    };

    /// Takes no connection before there is a statement. Throws `std::invalid_argument` when an option is out
    /// of its range.
    multiplexer(boost::asio::any_io_executor executor, pool& connections, multiplexer_options options = {});

    /// Statements that change nothing, and may be run again.
    reader& read() noexcept { return reader_; }

    /// The same multiplexer, with another timeout for what is run through this copy; see
    /// `multiplexer_options::timeout`.
    multiplexer with_timeout(std::chrono::milliseconds timeout) const;
    /// The same multiplexer, and each statement that is run through this copy is a span from the call to its
    /// answer, a child of that one; see `observer::on_span`.
    multiplexer traced(const trace_context& parent) const;

    /// As query(), with parameters made by hand.
    boost::asio::awaitable<result> run(std::string_view sql, params args);

    /// The figures of this moment.
    multiplexer_stats stats() const;

private:
    friend class querying<multiplexer>;
    explicit multiplexer(reader same) noexcept;
    boost::asio::awaitable<result> run_kept(std::string_view sql, params& args);

    reader reader_;
};

} // namespace pgcoro
