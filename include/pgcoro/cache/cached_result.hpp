#pragma once

#include <pgcoro/connection/querying.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// Where a cached result came from.
enum class cache_origin {
    asked,    ///< the database, just now
    hit,      ///< the cache, and it is fresh
    second,   ///< the cache's second level, and it is fresh
    stale,    ///< the cache, and it is stale, as the call allowed
    bypassed, ///< the database, because the statement must not be cached
};

/// A result that is shared, not copied, by all who asked for it. Cheap to copy; reading it from several
/// threads is safe.
class cached_result
{
public:
    /// No result: to be assigned to.
    cached_result() = default;
    cached_result(std::shared_ptr<const result> shared, cache_origin from,
                  std::chrono::nanoseconds old) noexcept
        : shared_(std::move(shared))
        , from_(from)
        , age_(old)
    {}

    /// The result. Not of a temporary, which may hold the last reference to it.
    const result& operator*() const& noexcept { return *shared_; }
    const result& operator*() const&& = delete;
    const result* operator->() const& noexcept { return shared_.get(); }
    const result* operator->() const&& = delete;
    std::shared_ptr<const result> share() const noexcept { return shared_; }

    cache_origin origin() const noexcept { return from_; }
    bool is_stale() const noexcept { return from_ == cache_origin::stale; }
    /// Since its query was sent; 0 when it was sent for this call.
    std::chrono::nanoseconds age() const noexcept { return age_; }

private:
    std::shared_ptr<const result> shared_;
    cache_origin from_ = cache_origin::asked;
    std::chrono::nanoseconds age_{};
};

/// Asking by way of a cache, as `querying` does without. `Derived::read(std::string_view, params)` does the
/// work; `Kept` is as there. Parameters are copied. The operation owns a text that is a `std::string` temporary; any other text must
/// live until the operation ends. Rows must own their values: for `std::string_view` use query(), and keep the
/// result.
template <class Derived, class Kept = Derived&>
class cache_reading
{
public:
    /// The result of a statement.
    template <class... T>
    boost::asio::awaitable<cached_result> query(std::string_view sql, const T&... args)
    {
        return self().read(sql, params::of(args...));
    }
    template <detail::owned_text Text, class... T>
    boost::asio::awaitable<cached_result> query(Text&& sql, const T&... args)
    {
        return read_owned(self(), std::move(sql), params::of(args...));
    }
    /// The rows as `Row`; see `row_mapper`. Decoded anew each time.
    template <class Row, class... T>
    boost::asio::awaitable<std::vector<Row>> query_as(std::string_view sql, const T&... args)
    {
        return rows<Row>(query(sql, args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<std::vector<Row>> query_as(Text&& sql, const T&... args)
    {
        return rows<Row>(query(std::move(sql), args...));
    }
    /// The only row. None, or more than one, is a `mapping_error`.
    template <class Row, class... T>
    boost::asio::awaitable<Row> query_value(std::string_view sql, const T&... args)
    {
        return value<Row>(query(sql, args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<Row> query_value(Text&& sql, const T&... args)
    {
        return value<Row>(query(std::move(sql), args...));
    }
    /// The only row, or nothing.
    template <class Row, class... T>
    boost::asio::awaitable<std::optional<Row>> query_optional(std::string_view sql, const T&... args)
    {
        return optional<Row>(query(sql, args...));
    }
    template <class Row, detail::owned_text Text, class... T>
    boost::asio::awaitable<std::optional<Row>> query_optional(Text&& sql, const T&... args)
    {
        return optional<Row>(query(std::move(sql), args...));
    }

private:
    Derived& self() noexcept { return static_cast<Derived&>(*this); }

    static boost::asio::awaitable<cached_result> read_owned(Kept self, std::string sql, params args)
    {
        cached_result got = co_await self.read(sql, std::move(args));
        co_return got;
    }
    template <class Row>
    static boost::asio::awaitable<std::vector<Row>> rows(boost::asio::awaitable<cached_result> asked)
    {
        cached_result got = co_await std::move(asked);
        detail::check_row_owns_its_values<Row>();
        co_return got->template as<Row>();
    }
    template <class Row>
    static boost::asio::awaitable<Row> value(boost::asio::awaitable<cached_result> asked)
    {
        cached_result got = co_await std::move(asked);
        detail::check_row_owns_its_values<Row>();
        co_return got->template as_value<Row>();
    }
    template <class Row>
    static boost::asio::awaitable<std::optional<Row>> optional(boost::asio::awaitable<cached_result> asked)
    {
        cached_result got = co_await std::move(asked);
        detail::check_row_owns_its_values<Row>();
        co_return got->template as_optional<Row>();
    }
};

} // namespace pgcoro
