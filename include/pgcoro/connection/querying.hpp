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
} // namespace detail

/// What a connection, a pool and a transaction have in common: running one statement.
///
/// Parameters are $1, $2 … in the text and any type with a `codec`. They and the results travel in
/// PostgreSQL's binary format, strings excepted. Parameters are copied. The operation owns a text that is a
/// `std::string` temporary, or that was moved in; any other text must live until the operation ends, which a
/// string literal always does. `Derived::run_kept(std::string_view, const params&)` does the work, with a text and
/// parameters that are kept here until it has ended; it may take `params&` and move from them. An operation keeps the object that it was called on as a
/// `Kept`: `Derived&`, or `Derived` where that is a cheap value, which people call on temporaries.
///
/// **Errors.** `server_error` when the server refuses the statement; `connection_error` when the connection
/// is lost or does not answer; `mapping_error` when a value does not fit. Derived says what else, and what
/// comes of a cancellation.
template <class Derived, class Kept = Derived&>
class querying
{
public:
    /// What an operation keeps of the object that it was called on.
    using kept_object = Kept;

    /// Runs a statement and gives all it returns.
    template <class... T>
    boost::asio::awaitable<result> query(std::string_view sql, const T&... args)
    {
        return all(self(), sql, params::of(args...));
    }
    template <detail::owned_text Text, class... T>
    boost::asio::awaitable<result> query(Text&& sql, const T&... args)
    {
        return all(self(), std::move(sql), params::of(args...));
    }

    /// As query(), with parameters made by hand.
    boost::asio::awaitable<result> run(std::string_view sql, params args)
    {
        return all(self(), sql, std::move(args));
    }
    template <detail::owned_text Text>
    boost::asio::awaitable<result> run(Text&& sql, params args)
    {
        return all(self(), std::move(sql), std::move(args));
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
    Derived& self() noexcept { return static_cast<Derived&>(*this); }

    // `Text` is std::string_view or std::string.
    template <class Text>
    static boost::asio::awaitable<result> all(Kept self, Text sql, params args)
    {
        co_return co_await self.run_kept(sql, args);
    }
    template <class Row, class Text>
    static boost::asio::awaitable<std::vector<Row>> rows(Kept self, Text sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template as<Row>();
    }
    template <class Row, class Text>
    static boost::asio::awaitable<std::vector<mapped<Row>>> try_rows(Kept self, Text sql,
                                                                     params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template try_as<Row>();
    }
    template <class Row, class Text>
    static boost::asio::awaitable<Row> value(Kept self, Text sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template as_value<Row>();
    }
    template <class Row, class Text>
    static boost::asio::awaitable<std::optional<Row>> optional(Kept self, Text sql,
                                                               params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return std::move(got).template as_optional<Row>();
    }
    template <class Text>
    static boost::asio::awaitable<std::uint64_t> count(Kept self, Text sql, params args)
    {
        result got = co_await self.run_kept(sql, args);
        co_return got.affected_rows();
    }
};

} // namespace pgcoro
