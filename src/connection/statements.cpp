#include <pgcoro/connection/statements.hpp>

#include "connection/session.hpp"

#include <stdexcept>

namespace pgcoro::detail
{

asio::awaitable<std::uint64_t> run_script(statement_host& host, std::string sql)
{
    std::exception_ptr failure;
    open_span_ptr span;
    try {
        auto& session = host.on();
        span = session.span(span_of::statement, sql);
        auto statements = co_await session.run_script(host, sql);
        if (span) span->end();
        co_return statements;
    } catch (...) {
        failure = std::current_exception();
    }
    if (span) span->failed(failure);
    std::rethrow_exception(host.failed(failure, sql));
}

std::string in_pieces(std::string_view sql, std::size_t chunk)
{
    if (chunk == 0 || chunk > 1'000'000'000)
        throw std::invalid_argument("pgcoro: pieces of " + std::to_string(chunk) +
                                    " bytes: they have between 1 and 1,000,000,000");
    auto size = std::to_string(chunk);
    // Materialised, and put together by ||, so that it is not decompressed anew for each piece.
    return "with whole(v) as materialized (select q.v || ''::pg_catalog.bytea from (" + std::string(sql) +
           "\n) as q(v)) select pg_catalog.substr(v, i, " + size +
           ") from whole, pg_catalog.generate_series(1, pg_catalog.length(v), " + size + ") as i";
}

std::string copy_out_csv_statement(std::string_view sql, const csv_options& options)
{
    std::string delimiter(options.delimiter == '\'' ? 2 : 1, options.delimiter);
    return "copy (" + std::string(sql) + "\n) to stdout (format csv, header " +
           (options.header ? "true" : "false") + ", delimiter '" + delimiter + "', encoding 'UTF8')";
}

} // namespace pgcoro::detail
