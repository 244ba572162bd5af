#pragma once

#include <pgcoro/connection/copy_stream.hpp>
#include <pgcoro/connection/many.hpp>
#include <pgcoro/connection/pipeline.hpp>
#include <pgcoro/connection/row_range.hpp>
#include <pgcoro/connection/stream.hpp>
#include <pgcoro/connection/target.hpp>
#include <pgcoro/export.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How CSV is written by `copy_out_csv`.
struct csv_options
{
    bool header = true;   ///< the columns' names in the first line
    char delimiter = ','; ///< between two values; one byte, no quote, no line end
};

namespace detail
{

// What a generator of rows gives: std::optional<Row> from an awaitable.
template <class F>
using generated_row = typename std::invoke_result_t<F&>::value_type::value_type;

boost::asio::awaitable<std::uint64_t> run_script(statement_host& host, std::string sql);

// A query for the pieces of the bytea that a query gives.
std::string in_pieces(std::string_view sql, std::size_t chunk);

std::string copy_out_csv_statement(std::string_view sql, const csv_options& options);

} // namespace detail

/// What a connection and a transaction have in common beyond `querying`: whatever holds the connection for
/// longer than one answer. `Derived::host()` is what it runs on.
///
/// **Errors** and **cancellation** as with `querying`; each function says what else. What is given by
/// reference must live until the operation ends.
///
/// **Rows** are described structs (a column is found by its member's name), aggregates or tuples (columns by
/// position); any member type with a codec.
template <class Derived>
class statements
{
public:
    /// The rows of a statement as they come; see `row_stream`. Text and parameters are copied.
    template <class Row, class... T>
    row_stream<Row> stream(std::string_view sql, const T&... args)
    {
        return stream<Row>(stream_options(), sql, args...);
    }
    template <class Row, class... T>
    row_stream<Row> stream(stream_options options, std::string_view sql, const T&... args)
    {
        return row_stream<Row>(
            detail::make_row_source(self().host(), sql, params::of(args...), options.chunk));
    }

    /// Several statements in one round trip; see `pgcoro::pipeline`.
    pgcoro::pipeline pipeline(barrier b = barrier::none) { return pgcoro::pipeline(self().host(), b); }

    /// Inserts rows: each column travels as an array, and few thousand rows a statement. All statements
    /// together are one transaction, in one round trip; one more comes first, for the columns' types, where
    /// members travel as text (strings, enums, arrays). Gives the number of rows inserted; an empty range is
    /// no round trip at all.
    /// Errors: `server_error` for a row that the server refuses, `mapping_error`, naming row and column, for
    /// a value that cannot be sent; then nothing stays.
    template <lasting_row_range Range>
    boost::asio::awaitable<std::uint64_t> insert_many(target into, const Range& rows)
    {
        return write_many(self(), detail::many::insert, std::move(into), {}, rows);
    }

    /// Updates rows found by `keys`, which are some of the columns; the others are set. As insert_many(). A
    /// row that is not found is no error, and is not counted; which of two rows with one key counts is not
    /// known.
    template <lasting_row_range Range>
    boost::asio::awaitable<std::uint64_t> update_many(target in, std::vector<std::string> keys,
                                                      const Range& rows)
    {
        return write_many(self(), detail::many::update, std::move(in), std::move(keys), rows);
    }

    /// Inserts rows, or updates those that are there, found by `keys`, for which there must be a unique
    /// index. As insert_many(). Two rows with one key are `server_error` 21000.
    template <lasting_row_range Range>
    boost::asio::awaitable<std::uint64_t> upsert_many(target into, std::vector<std::string> keys,
                                                      const Range& rows)
    {
        return write_many(self(), detail::many::upsert, std::move(into), std::move(keys), rows);
    }

    /// Copies rows into a table by COPY, the quickest way in for very many. Gives their number. All or
    /// nothing: after an error none stays, and the error names the row, counted from 1. One more round trip,
    /// the first, asks for the columns' types; the binary format is used where every member fits its column
    /// in it, else the text format. No more is read from the range than the server has room for.
    template <row_range Range>
    boost::asio::awaitable<std::uint64_t> copy_in(target into, const Range& rows)
    {
        return copy_range(self(), std::move(into), rows);
    }

    /// The same with rows from a coroutine: `generate()` gives `awaitable<std::optional<Row>>`, nothing at
    /// the end. It must not use this connection. What it throws ends the COPY, and nothing stays.
    template <class Generator>
    requires(!row_range<Generator> && std::is_invocable_v<Generator&>)
        boost::asio::awaitable<std::uint64_t> copy_in(target into, Generator generate)
    {
        return copy_generated(self(), std::move(into), std::move(generate));
    }

    /// Inserts one row with a large bytea, by pieces, so that the client never has all of it: `row` goes to
    /// the columns of `into`, and `size` bytes to the bytea `column`. `pieces()` gives
    /// `awaitable<std::span<const std::byte>>`, valid until it is called again, and an empty one at the end;
    /// it must not use this connection. By COPY, which inserts only: to replace a value, write to a temporary
    /// table, and UPDATE from that. (`column || $1` piece by piece would copy the value each time.)
    /// Errors: those of copy_in(); `mapping_error` for 1 GiB or more, and when there are fewer or more bytes
    /// than announced. Nothing stays then.
    template <class Row, class Pieces>
    requires std::is_invocable_v<Pieces&> boost::asio::awaitable<void> copy_in_bytes(
        target into, const Row& row, std::string column, std::uint64_t size, Pieces pieces)
    {
        return copy_pieces(self(), std::move(into), row, std::move(column), size, std::move(pieces));
    }

    /// The rows of a query by COPY; see `copy_stream`. The text is copied. COPY knows no parameters.
    template <class Row>
    copy_stream<Row> copy_out(std::string_view sql)
    {
        auto columns = "select * from (" + std::string(sql) + "\n) as q limit 0";
        return copy_stream<Row>(detail::copy_operation(self().host()),
                                detail::make_row_source(self().host(), columns, params(), 1),
                                std::string(sql));
    }

    /// The rows of a query as CSV: `sink(std::string_view)` gets it line by line, and gives `awaitable<void>`
    /// or `void`; while it works, the server waits. What it throws ends the COPY. Gives the number of rows.
    template <class Sink>
    boost::asio::awaitable<std::uint64_t> copy_out_csv(std::string_view sql, Sink sink,
                                                       csv_options options = csv_options())
    {
        return copy_csv(self(), detail::copy_out_csv_statement(sql, options), options.header,
                        std::move(sink));
    }

    /// Runs statements separated by semicolons, without parameters, in one round trip; their rows are thrown
    /// away. Where they do not begin and commit themselves they are one transaction. Gives their number. The
    /// error tells the statement, by number and line.
    boost::asio::awaitable<std::uint64_t> execute_script(std::string_view sql)
    {
        return detail::run_script(self().host(), std::string(sql));
    }

    /// One large bytea in pieces of `chunk` bytes, so that the client never has all of it. The statement
    /// gives one row of one bytea; NULL, and no row, are no pieces. The server puts the value together once.
    template <class... T>
    row_stream<std::vector<std::byte>> stream_bytes(std::size_t chunk, std::string_view sql, const T&... args)
    {
        return row_stream<std::vector<std::byte>>(
            detail::make_row_source(self().host(), detail::in_pieces(sql, chunk), params::of(args...), 1));
    }

private:
    template <class T>
    using awaitable = boost::asio::awaitable<T>;

    Derived& self() noexcept { return static_cast<Derived&>(*this); }

    static awaitable<std::vector<detail::target_column>> look_up_all(Derived& self, const target& where)
    {
        auto got = co_await self.run(detail::columns_query, params::of(where.name.quoted()));
        co_return detail::read_columns(got);
    }

    template <class Row>
    static std::vector<detail::target_column> choose(const target& where,
                                                     std::vector<detail::target_column> all)
    {
        using members = detail::row_members<Row>;
        return detail::choose_columns(where, std::move(all), members::names(), members::size);
    }

    template <class Row>
    static awaitable<std::vector<detail::target_column>> look_up(Derived& self, const target& where)
    {
        auto all = co_await look_up_all(self, where);
        co_return choose<Row>(where, std::move(all));
    }

    template <class Range>
    static awaitable<std::uint64_t> write_many(Derived& self, detail::many kind, target where,
                                               std::vector<std::string> keys, const Range& rows)
    {
        using batch = detail::many_batch<Range>;
        using row_type = detail::row_of<Range>;
        using members = detail::row_members<row_type>;
        if (std::begin(rows) == std::end(rows)) co_return 0;
        std::vector<detail::target_column> known;
        if constexpr (batch::needs_types) known = co_await look_up<row_type>(self, where);
        std::vector<std::string> columns;
        columns.reserve(known.size());
        for (auto& c : known) columns.push_back(c.name);
        if (!batch::needs_types) columns = detail::column_names(where, members::names(), members::size);
        auto sql = detail::many_statement(kind, where, batch::travelling(columns, known), keys);
        batch all(rows, std::move(sql), std::move(columns));
        co_await detail::run_batch(self.host(), all);
        co_return all.count();
    }

    // So much is put together before it is handed to libpq.
    static constexpr std::size_t copy_portion = 64 * 1024;

    template <class Range>
    static awaitable<std::uint64_t> copy_range(Derived& self, target into, const Range& rows)
    {
        using row_type = detail::row_of<Range>;
        auto columns = co_await look_up<row_type>(self, into);
        detail::copy_writer<row_type> writer(std::move(columns));
        detail::copy_operation copy(self.host());
        co_await copy.begin(detail::copy_in_statement(into, writer.columns(), writer.binary()));
        std::exception_ptr failure;
        auto at = std::begin(rows);
        auto end = std::end(rows);
        for (bool taken = true; taken && !failure && at != end;) {
            try {
                for (; at != end && writer.bytes().size() < copy_portion; ++at) writer.add(*at);
            } catch (...) {
                failure = std::current_exception();
                continue;
            }
            if (at == end) break;
            taken = co_await copy.send(writer.bytes());
            writer.clear();
        }
        co_return co_await finish_copy(copy, writer, failure);
    }

    template <class Generator>
    static awaitable<std::uint64_t> copy_generated(Derived& self, target into, Generator generate)
    {
        using row_type = detail::generated_row<Generator>;
        auto columns = co_await look_up<row_type>(self, into);
        detail::copy_writer<row_type> writer(std::move(columns));
        detail::copy_operation copy(self.host());
        co_await copy.begin(detail::copy_in_statement(into, writer.columns(), writer.binary()));
        std::exception_ptr failure;
        for (bool taken = true; taken && !failure;) {
            try {
                std::optional<row_type> row = co_await generate();
                if (!row) break;
                writer.add(*row);
            } catch (...) {
                failure = std::current_exception();
                continue;
            }
            if (writer.bytes().size() < copy_portion) continue;
            taken = co_await copy.send(writer.bytes());
            writer.clear();
        }
        co_return co_await finish_copy(copy, writer, failure);
    }

    template <class Row, class Pieces>
    static awaitable<void> copy_pieces(Derived& self, target into, const Row& row, std::string column,
                                       std::uint64_t size, Pieces pieces)
    {
        auto all = co_await look_up_all(self, into);
        detail::copy_writer<Row> writer(choose<Row>(into, all));
        auto columns = writer.columns();
        columns.push_back(detail::choose_bytes_column(into, all, column, writer.binary(), size));
        writer.begin_row(row, static_cast<std::int32_t>(size));
        detail::copy_operation copy(self.host());
        co_await copy.begin(detail::copy_in_statement(into, columns, true));
        std::exception_ptr failure;
        bool taken = co_await copy.send(writer.bytes());
        writer.clear();
        std::uint64_t sent = 0;
        while (taken) {
            std::string_view piece;
            try {
                std::span<const std::byte> bytes = co_await pieces();
                piece = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
                if (piece.empty() ? sent != size : piece.size() > size - sent)
                    detail::throw_pieces_size(column, size, sent + piece.size());
            } catch (...) {
                failure = std::current_exception();
            }
            if (failure || piece.empty()) break;
            sent += piece.size();
            while (taken && !piece.empty()) {
                auto portion = piece.substr(0, copy_portion);
                piece.remove_prefix(portion.size());
                taken = co_await copy.send(portion);
            }
        }
        co_await finish_copy(copy, writer, failure);
    }

    template <class Writer>
    static awaitable<std::uint64_t> finish_copy(detail::copy_operation& copy, Writer& writer,
                                                std::exception_ptr failure)
    {
        if (failure) {
            auto why = co_await copy.give_up(failure);
            std::rethrow_exception(why);
        }
        writer.finish();
        co_await copy.send(writer.bytes());
        auto rows = co_await copy.finish();
        co_return rows;
    }

    template <class Sink>
    static awaitable<std::uint64_t> copy_csv(Derived& self, std::string sql, bool header, Sink sink)
    {
        detail::copy_operation copy(self.host());
        co_await copy.begin(std::move(sql));
        std::uint64_t lines = 0;
        for (;;) {
            auto line = co_await copy.receive();
            if (!line) break;
            ++lines;
            if constexpr (std::is_void_v<std::invoke_result_t<Sink&, std::string_view>>)
                sink(*line);
            else
                co_await sink(*line);
        }
        co_return lines - (header ? 1 : 0);
    }
};

} // namespace pgcoro
