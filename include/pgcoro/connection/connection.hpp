#pragma once

#include <pgcoro/connection/notification.hpp>
#include <pgcoro/connection/options.hpp>
#include <pgcoro/connection/prepared.hpp>
#include <pgcoro/connection/querying.hpp>
#include <pgcoro/connection/statements.hpp>
#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A session with the server, run by one coroutine at a time on that coroutine's own executor.
///
/// **Statements.** Parameters are $1, $2 … in the text and any type with a `codec`; they and the results
/// travel in PostgreSQL's binary format, strings excepted. A statement is prepared the first time it is run,
/// in the same round trip, and remembered; the text, and what it refers to, must live until the operation
/// ends, the parameters are copied.
///
/// **Errors.** `server_error` when the server refuses a statement: the connection stays usable.
/// `connection_error` when the connection is lost, or the server did not answer within `statement_timeout` +
/// `response_grace`. `mapping_error` when a value does not fit: the connection stays usable.
/// `std::logic_error` for two operations at once, and for use after close() or a move.
///
/// **Cancellation.** Any kind, at any wait: the coroutine goes on at once with `operation_aborted`, the
/// server is told to stop, and the connection stays usable: the next operation first waits for that to end.
///
/// **Threads.** One at a time, though not always the same: the connection moves to whichever executor's
/// coroutine uses it. cancel() may be called from any thread while an operation is under way. Like every I/O
/// object of Asio it must not outlive the I/O context that it was last used on.
class connection : public querying<connection>, public statements<connection>
{
public:
    /// Connects and logs in. Names are resolved without blocking; hosts and addresses are tried in order,
    /// each for `options.connect_timeout`. Throws `connection_error` with every attempt and its reason, and
    /// `std::invalid_argument` for an option out of its range.
    static boost::asio::awaitable<connection> connect(connection_options options);
    /// From a URI or "key=value" text; see `connection_options::from_uri`.
    static boost::asio::awaitable<connection> connect(std::string_view uri);

    connection(connection&&) noexcept;
    connection& operator=(connection&&) noexcept;
    /// Closes.
    ~connection();

    /// Prepares a statement with parameters of these types, which stays prepared as long as the handle lives,
    /// and has it described; see `prepared_statement`. One round trip. The text is copied. Throws
    /// `server_error` when the server cannot prepare it, and `mapping_error` when it has more parameters than
    /// types are named.
    template <class... T>
    boost::asio::awaitable<prepared_statement<T...>> prepare(std::string_view sql)
    {
        return prepared_statement<T...>::make(session(), std::string(sql));
    }

    /// Has notifications sent on these channels reach this connection; names as they are, upper and lower
    /// case told apart. In a transaction from its commit on.
    boost::asio::awaitable<void> listen(std::vector<std::string> channels);
    /// The reverse. None named: all.
    boost::asio::awaitable<void> unlisten(std::vector<std::string> channels = {});
    /// The next notification, be it one that came while the connection did something else: none is lost as
    /// long as the connection is there. Throws `connection_error` when that is gone; see `listener` for one
    /// that comes back. Nothing else can be done with the connection meanwhile. Cancellation: any kind; none
    /// is lost.
    boost::asio::awaitable<notification> wait_notification();
    /// The same; nothing when none came within the time.
    boost::asio::awaitable<std::optional<notification>> wait_notification(std::chrono::milliseconds within);

    /// A round trip that does nothing. Throws `connection_error` when the connection does not answer in time.
    boost::asio::awaitable<void> ping(std::chrono::milliseconds within = std::chrono::seconds(5));

    /// Brings the session back to what it was after the login: ends what is under way, rolls back, and undoes
    /// SET, LISTEN, temporary tables, advisory locks, cursors WITH HOLD and PREPARE, whether or not there was
    /// any. The layer's own prepared statements stay. Throws when that does not succeed within the time; the
    /// connection is given up then. Cancellation: any kind; the connection is given up.
    boost::asio::awaitable<void> reset(std::chrono::milliseconds within = std::chrono::seconds(5));

    /// Sets what the observer is told that the following statements belong to, for instance "load account";
    /// empty for nothing. At most 63 bytes are kept. On a lease it ends with the lease.
    void name_operation(std::string_view name) noexcept;

    /// The span that the statements from now on are children of; see `observer::on_span`. A context that is
    /// not valid (the default), or not sampled, ends that; on a lease it ends with the lease. Pipelines and
    /// batches of rows are one span each; the rounds of a multiplexer have none.
    void trace(const trace_context& parent) noexcept;

    /// Asks the server to stop the operation under way, which then ends with `server_error` 57014 unless it
    /// was quicker, or had not begun on the server. Returns at once; a helper thread does the asking. Does
    /// nothing when nothing is under way.
    void cancel();

    /// Ends the session. Nothing can be done with the connection afterwards. Does not wait, does not throw.
    /// Not while an operation is under way.
    void close() noexcept;

    /// True from connect() to close(), unless the connection was lost.
    bool is_open() const noexcept;
    /// Is a transaction open, be it a failed one?
    bool in_transaction() const noexcept;
    /// The number of the server process, as in pg_stat_activity; 0 when closed.
    int backend_pid() const noexcept;
    /// The server's version as libpq has it, for instance 150008; 0 when closed.
    int server_version() const noexcept;
    /// A setting that the server reports, such as "TimeZone" or "in_hot_standby"; empty when it does not.
    std::string parameter_status(const char* name) const;

    /// For the floors above this one. There is no session after close() and in what was moved from.
    bool is_closed() const noexcept { return !session_; }
    explicit connection(detail::owned<detail::session> session) noexcept;
    detail::session& session() const;
    detail::statement_host& host() const;

private:
    friend class querying<connection>;
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);

    detail::owned<detail::session> session_;
};

} // namespace pgcoro
