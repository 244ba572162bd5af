// A statement whose rows are taken as they come.
#pragma once

#include "connection/exchange.hpp"
#include "connection/operation.hpp"

#include <pgcoro/connection/stream.hpp>

#include <optional>
#include <string>

namespace pgcoro::detail
{

// Begins with the first next(), and holds its session from then to the end of the rows, to an error, or to
// its own end, which stops the statement.
class row_source final : public session_holder
{
public:
    row_source(statement_host& host, std::string_view sql, params args, std::size_t chunk)
        : host_(host)
        , sql_(sql)
        , args_(std::move(args))
        , chunk_(chunk)
    {}
    row_source(const row_source&) = delete;
    row_source& operator=(const row_source&) = delete;
    ~row_source() { abandon(); }

    // The next rows; one result without any, for its columns, when there are none at all; then null.
    asio::awaitable<result_ptr> next();

    void abandon() noexcept override;

private:
    asio::awaitable<void> open();
    asio::awaitable<result_ptr> take_next();
    void want_rows_singly();
    void finish();

    statement_host& host_;
    std::string sql_;
    params args_;
    [[maybe_unused]] std::size_t chunk_; // of libpq 17 and later
    session* session_ = nullptr;         // while the statement is under way
    prologue prologue_;
    std::optional<session::operation> operation_;
    session::exchange exchange_;
    session::time_point begun_;
    open_span_ptr span_;
    std::string commented_;
    std::uint64_t rows_ = 0;
    std::uint64_t bytes_ = 0;
    bool idle_ = false;  // no transaction was open when it began
    bool again_ = false; // it was sent a second time
    bool singly_ = false;
    bool begun_once_ = false;
    bool over_ = false;
};

} // namespace pgcoro::detail
