#pragma once

#include <pgcoro/connection/options.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace pgcoro
{

namespace detail
{
class session;
} // namespace detail

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
/// coroutine uses it. cancel() may be called from any thread while an operation is under way.
class connection
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

    /// Runs a statement and gives all it returns.
    template <class... T>
    boost::asio::awaitable<result> query(std::string_view sql, const T&... args)
    {
        return run(sql, params::of(args...));
    }

    /// The rows as `Row`: a tuple, an aggregate, a described struct or, for one column, a value; see
    /// `row_mapper`.
    template <class Row, class... T>
    boost::asio::awaitable<std::vector<Row>> query_as(std::string_view sql, const T&... args)
    {
        return run_as<Row>(sql, params::of(args...));
    }

    /// The only row, as `Row`. None, or more than one, is a `mapping_error`.
    template <class Row, class... T>
    boost::asio::awaitable<Row> query_value(std::string_view sql, const T&... args)
    {
        return run_value<Row>(sql, params::of(args...));
    }

    /// The only row, or nothing. More than one is a `mapping_error`.
    template <class Row, class... T>
    boost::asio::awaitable<std::optional<Row>> query_optional(std::string_view sql, const T&... args)
    {
        return run_optional<Row>(sql, params::of(args...));
    }

    /// Runs a statement for its effect; gives the number of rows it touched.
    template <class... T>
    boost::asio::awaitable<std::uint64_t> execute(std::string_view sql, const T&... args)
    {
        return run_count(sql, params::of(args...));
    }

    /// As query(), with parameters made by hand.
    boost::asio::awaitable<result> run(std::string_view sql, params args);

    /// A round trip that does nothing. Throws `connection_error` when the connection does not answer in time.
    boost::asio::awaitable<void> ping(std::chrono::milliseconds within = std::chrono::seconds(5));

    /// Asks the server to stop the operation under way, which then ends with `server_error` 57014 unless it
    /// was quicker. Returns at once; a helper thread does the asking. Does nothing when nothing is under way.
    void cancel();

    /// Ends the session. Nothing can be done with the connection afterwards. Does not wait, does not throw.
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
    std::string_view parameter_status(const char* name) const noexcept;

    /// For the floors above this one.
    explicit connection(std::unique_ptr<detail::session> session) noexcept;
    detail::session& session() const;

private:
    template <class Row>
    boost::asio::awaitable<std::vector<Row>> run_as(std::string_view sql, params args)
    {
        auto got = co_await run(sql, std::move(args));
        co_return got.template as<Row>();
    }
    template <class Row>
    boost::asio::awaitable<Row> run_value(std::string_view sql, params args)
    {
        auto got = co_await run(sql, std::move(args));
        co_return got.template as_value<Row>();
    }
    template <class Row>
    boost::asio::awaitable<std::optional<Row>> run_optional(std::string_view sql, params args)
    {
        auto got = co_await run(sql, std::move(args));
        co_return got.template as_optional<Row>();
    }
    boost::asio::awaitable<std::uint64_t> run_count(std::string_view sql, params args);

    std::unique_ptr<detail::session> session_;
};

} // namespace pgcoro
