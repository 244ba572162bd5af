#pragma once

#include <pgcoro/connection/querying.hpp>
#include <pgcoro/connection/stream.hpp>
#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

class connection;

namespace detail
{

struct tenure;

// What was prepared, as the server described it.
struct preparation
{
    preparation(std::string text, const result& described);

    std::string sql;
    kept_columns columns;
    std::vector<oid> parameters;
    std::shared_ptr<const void> pin;     // keeps it in the connection's cache
    std::shared_ptr<const tenure> owner; // the session, as long as it may be used
};

// `types`: the parameters' types, with no values.
boost::asio::awaitable<std::shared_ptr<const preparation>> prepare(session& on, std::string sql,
                                                                   params types);

// Runs what was prepared.
class prepared_runner : public querying<prepared_runner, prepared_runner>
{
public:
    explicit prepared_runner(std::shared_ptr<const preparation> of) noexcept
        : of_(std::move(of))
    {}

    const preparation& of() const; // std::logic_error when it was moved from

    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);

private:
    std::shared_ptr<const preparation> of_;
};

} // namespace detail

/// A statement that is prepared on one connection, with parameters of types T:
///
/// ```cpp
/// auto find = co_await conn.prepare<std::int64_t>("select id, owner, cents from account where id = $1");
/// find.expect<account>();
/// auto a = co_await find.query_value<account>(7);
/// ```
/// Every statement is prepared when it first runs. Use this to check one before that, or to keep one prepared: the connection
/// does not evict it while the handle lives (it counts in `statement_cache_size`, and may exceed it). After DDL or DISCARD ALL
/// it is prepared again, outside a transaction; inside one it fails once, as any statement. It is described here, but runs
/// unprepared, with a `statement_cache_size` of 0, and if a string constant of its text has the word now, today, tomorrow or
/// yesterday: the server would read 'now'::timestamptz once, and each run would get the time of the first. The server also reads
/// other constants once, with the settings of that moment ('…'::timestamptz by TimeZone). So a statement is prepared separately
/// for each set of such settings, as far as the texts of statements show them; a setting that a function makes, or that a reload
/// of the server's configuration changes, is not seen.
///
/// **Errors** and **cancellation:** those of `querying`. **Threads:** as its connection; it may be destroyed
/// on any thread. **Lifetime:** it must live until its operations end. When the connection is closed, or its
/// lease is given back, every use is a `std::logic_error`; moving the connection does no harm. Copies are one
/// and the same.
template <class... T>
class prepared_statement
{
    static_assert((encodable<T> && ...),
                  "name types that have a codec: std::string_view for string literals");
    static_assert(!(requires(const T& v) { codec<T>::type_of(v); } || ...),
                  "values of this type tell their PostgreSQL type one by one: it cannot be prepared for");

public:
    /// The text.
    const std::string& sql() const& { return runner_.of().sql; }
    const std::string& sql() const&& = delete;
    /// The type of each parameter: that of T, or what the server inferred where T leaves it open (strings).
    std::span<const oid> parameters() const& { return runner_.of().parameters; }
    std::span<const oid> parameters() const&& = delete;
    /// The columns it gives, as they were when it was prepared; none for a statement without rows. Valid as
    /// long as the handle or a copy.
    std::span<const column> columns() const& { return detail::all(runner_.of().columns.get()); }
    std::span<const column> columns() const&& = delete;

    /// Throws `mapping_error` unless its columns fit a Row; see `row_mapper`. No round trip.
    template <class Row>
    void expect() const
    {
        row_mapper<Row> check(columns());
    }

    /// As with `querying`.
    boost::asio::awaitable<result> query(const T&... args) { return runner_.query(sql(), args...); }
    template <class Row>
    boost::asio::awaitable<std::vector<Row>> query_as(const T&... args)
    {
        return runner_.query_as<Row>(sql(), args...);
    }
    template <class Row>
    boost::asio::awaitable<std::vector<mapped<Row>>> try_query_as(const T&... args)
    {
        return runner_.try_query_as<Row>(sql(), args...);
    }
    template <class Row>
    boost::asio::awaitable<Row> query_value(const T&... args)
    {
        return runner_.query_value<Row>(sql(), args...);
    }
    template <class Row>
    boost::asio::awaitable<std::optional<Row>> query_optional(const T&... args)
    {
        return runner_.query_optional<Row>(sql(), args...);
    }
    boost::asio::awaitable<std::uint64_t> execute(const T&... args)
    {
        return runner_.execute(sql(), args...);
    }

private:
    friend class connection;
    template <class V>
    using null_of = std::conditional_t<detail::is_optional<V>, V, std::optional<V>>;

    explicit prepared_statement(std::shared_ptr<const detail::preparation> of) noexcept
        : runner_(std::move(of))
    {}

    static boost::asio::awaitable<prepared_statement> make(detail::session& on, std::string sql)
    {
        auto types = params::of(null_of<T>()...);
        auto made = co_await detail::prepare(on, std::move(sql), std::move(types));
        co_return prepared_statement(std::move(made));
    }

    detail::prepared_runner runner_;
};

} // namespace pgcoro
