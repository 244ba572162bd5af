#pragma once

#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{
// A text that the caller gives away, usually a temporary: whatever runs it owns it.
template <class T>
concept owned_text = std::same_as<T, std::string>;

// How the coroutines of `querying` keep the object that runs their statement: by reference, or as a copy
// where users call them on temporaries.
template <class Derived>
struct kept_by
{
    using type = Derived&;
};
} // namespace detail

/// What a connection, a pool and a transaction have in common: running one statement.
///
/// Parameters are $1, $2 … in the text and any type with a `codec`. They and the results travel in
/// PostgreSQL's binary format, strings excepted. Parameters are copied. The operation owns a text that is a
/// `std::string` temporary, or that was moved in; any other text must live until the operation ends, which a
/// string literal always does. `Derived::run(std::string_view, params)` does the work;
/// `Derived::run_kept(std::string_view, const params&)` does it with parameters that somebody keeps until it
/// has ended, which saves a coroutine; it may take `params&` and move from them.
///
/// **Errors.** `server_error` when the server refuses the statement; `connection_error` when the connection
/// is lost or does not answer; `mapping_error` when a value does not fit. Derived says what else, and what
/// comes of a cancellation.
template <class Derived>
class querying
{
public:
    /// Runs a statement and gives all it returns.
    template <class... T>
    boost::asio::awaitable<result> query(std::string_view sql, const T&... args)
    {
        return self().run(sql, params::of(args...));
    }
    template <detail::owned_text Text, class... T>
    boost::asio::awaitable<result> query(Text&& sql, const T&... args)
    {
        return run_owned(self(), std::move(sql), params::of(args...));
    }

    /// The rows as `Row`: a tuple, an aggregate, a described struct or, for one column, a value; see
    /// `row_mapper`.
    template <class Row, class... T>
    boost::asio::awaitable<std::vector<Row>> query_as(std::string_view sql, const T&... args)
    {
        return rows<Row>(self(), sql, params::of(args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<std::vector<Row>> query_as(Text&& sql, const T&... args)
    {
        return rows<Row>(self(), std::move(sql), params::of(args...));
    }

    /// The same, but a row that does not fit is an error in its place, and the others can be read.
    template <class Row, class... T>
    boost::asio::awaitable<std::vector<mapped<Row>>> try_query_as(std::string_view sql, const T&... args)
    {
        return try_rows<Row>(self(), sql, params::of(args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<std::vector<mapped<Row>>> try_query_as(Text&& sql, const T&... args)
    {
        return try_rows<Row>(self(), std::move(sql), params::of(args...));
    }

    /// The only row, as `Row`. None, or more than one, is a `mapping_error`.
    template <class Row, class... T>
    boost::asio::awaitable<Row> query_value(std::string_view sql, const T&... args)
    {
        return value<Row>(self(), sql, params::of(args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<Row> query_value(Text&& sql, const T&... args)
    {
        return value<Row>(self(), std::move(sql), params::of(args...));
    }

    /// The only row, or nothing. More than one is a `mapping_error`.
    template <class Row, class... T>
    boost::asio::awaitable<std::optional<Row>> query_optional(std::string_view sql, const T&... args)
    {
        return optional<Row>(self(), sql, params::of(args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<std::optional<Row>> query_optional(Text&& sql, const T&... args)
    {
        return optional<Row>(self(), std::move(sql), params::of(args...));
    }

    /// Runs a statement for its effect; gives the number of rows it touched.
    template <class... T>
    boost::asio::awaitable<std::uint64_t> execute(std::string_view sql, const T&... args)
    {
        return count(self(), sql, params::of(args...));
    }
    template <detail::owned_text Text, class... T>
    boost::asio::awaitable<std::uint64_t> execute(Text&& sql, const T&... args)
    {
        return count(self(), std::move(sql), params::of(args...));
    }

private:
    using kept_self = typename detail::kept_by<Derived>::type;

    Derived& self() noexcept { return static_cast<Derived&>(*this); }

    static boost::asio::awaitable<result> run_owned(kept_self self, std::string sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return got;
    }
    // `Text` is std::string_view or std::string.
    template <class Row, class Text>
    static boost::asio::awaitable<std::vector<Row>> rows(kept_self self, Text sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template as<Row>();
    }
    template <class Row, class Text>
    static boost::asio::awaitable<std::vector<mapped<Row>>> try_rows(kept_self self, Text sql,
                                                                     params args)
    {
        result got = co_await self.run(sql, std::move(args));
        co_return std::move(got).template try_as<Row>();
    }
    template <class Row, class Text>
    static boost::asio::awaitable<Row> value(kept_self self, Text sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template as_value<Row>();
    }
    template <class Row, class Text>
    static boost::asio::awaitable<std::optional<Row>> optional(kept_self self, Text sql,
                                                               params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template as_optional<Row>();
    }
    template <class Text>
    static boost::asio::awaitable<std::uint64_t> count(kept_self self, Text sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return got.affected_rows();
    }
};

} // namespace pgcoro
