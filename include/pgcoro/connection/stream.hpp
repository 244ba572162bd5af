#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How rows are streamed.
struct stream_options
{
    /// So many rows at most are taken from libpq together, where it can (version 17 and later); else one by
    /// one. At least 1. More is quicker, and takes the memory of so many rows.
    std::size_t chunk = 256;
};

namespace detail
{

class row_source;
struct row_source_deleter
{
    void operator()(row_source* s) const noexcept;
};
using row_source_ptr = owned<row_source, row_source_deleter>;

row_source_ptr make_row_source(statement_host& host, std::string_view sql, params args, std::size_t chunk);
// The next rows; one result without any, for its columns, when there are none at all; then an empty one.
boost::asio::awaitable<result> next_rows(row_source& from);

// The columns of a stream's results, kept beyond each of them: row mappers refer to them.
class kept_columns
{
public:
    explicit kept_columns(const result& first);
    kept_columns(const kept_columns&) = delete;
    kept_columns& operator=(const kept_columns&) = delete;

    const column_list& get() const noexcept { return columns_; }

private:
    std::vector<std::string> names_;
    column_list columns_;
};

template <class Row>
struct stream_mapping
{
    explicit stream_mapping(const result& first)
        : columns(first)
        , map(all(columns.get()))
    {}
    kept_columns columns;
    row_mapper<Row> map;
};
template <>
struct stream_mapping<row>
{};

} // namespace detail

/// The rows of one statement, one after the other, in constant memory: no more is read from the server than
/// was asked for, and the server waits.
///
/// ```cpp
/// auto accounts = conn.stream<account>("select id, owner, cents from account where cents > $1", 0);
/// while (auto a = co_await accounts.next()) use(*a);
/// ```
/// `Row` is what `query_as` can make of a row, or `pgcoro::row`, which is valid until the next next().
///
/// The statement is sent with the first next(). Until the rows have come to their end the connection does
/// nothing else (`std::logic_error`). A stream that is destroyed earlier stops the statement; the connection
/// stays usable, as after a cancellation. A transaction around it fails with that, unless the server had sent the whole result
/// already; the next statement's error (25P02), or that of COMMIT, names the stream. So limit such a statement in SQL, or leave
/// the stream in a `transaction::savepoint()` that throws. The server's `statement_timeout` counts the time of the whole
/// stream, also that which its reader takes.
///
/// **Errors** of next(): those of `query_as`. Rows may have come before the server's error does; those of the
/// chunk in which it happened have not. After an error, and after the end, next() gives nothing; after a
/// `mapping_error` of one row it gives the next.
/// **Cancellation:** any kind, in next(); the stream is over then. **Threads:** as its connection.
/// **Lifetime:** not beyond its connection, lease or transaction object: next() throws `std::logic_error` once the
/// connection was closed or its lease released, also in the middle of the rows. Moved only before the first next().
template <class Row>
class row_stream
{
    static_assert((detail::check_row_owns_its_values<Row>(), true));

public:
    explicit row_stream(detail::row_source_ptr source) noexcept
        : source_(std::move(source))
    {}

    /// The next row; nothing at the end. A `pgcoro::row` refers to the stream, which therefore must not be a
    /// temporary.
    boost::asio::awaitable<std::optional<Row>> next() && requires(std::same_as<Row, row>) = delete;
    boost::asio::awaitable<std::optional<Row>> next() && requires(!std::same_as<Row, row>) { return next(); }
    boost::asio::awaitable<std::optional<Row>> next() &
    {
        while (at_ == rows_.size()) {
            bool more = co_await advance();
            if (!more) co_return std::nullopt;
        }
        co_return take();
    }

    /// The next rows: `most` at most, fewer at the end only; none when there are no more.
    boost::asio::awaitable<std::vector<Row>> next_chunk(std::size_t most) requires(!std::same_as<Row, row>)
    {
        std::vector<Row> taken;
        while (taken.size() < most) {
            if (at_ == rows_.size()) {
                bool more = co_await advance();
                if (!more) break;
                continue;
            }
            taken.push_back(take());
        }
        co_return taken;
    }

private:
    using mapping = detail::stream_mapping<Row>;

    boost::asio::awaitable<bool> advance()
    {
        at_ = 0;
        rows_ = result();
        if (!source_) co_return false;
        auto came = co_await detail::next_rows(*source_);
        if (!came.get()) co_return false;
        if constexpr (!std::same_as<Row, row>) {
            if (!mapping_) {
                auto source = std::move(source_); // ends here if the columns do not fit
                mapping_.reset(new mapping(came));
                source_ = std::move(source);
            }
        }
        rows_ = std::move(came);
        co_return true;
    }

    Row take()
    {
        auto r = rows_[at_++];
        if constexpr (std::same_as<Row, row>)
            return r;
        else
            return r.template as<Row>(mapping_->columns.get(), mapping_->map);
    }

    detail::row_source_ptr source_;
    result rows_;
    std::size_t at_ = 0;
    detail::owned<mapping> mapping_;
};

} // namespace pgcoro
