// A statement whose rows are taken as they come.
#pragma once

#include "connection/operation.hpp"

#include <pgcoro/connection/stream.hpp>

#include <deque>
#include <optional>
#include <string>

namespace pgcoro::detail
{

// Begins with the first next(), and holds its session from then to the end of the rows, to an error, or to
// its own end, which stops the statement.
class row_source final : public session_holder, private reply_handler
{
public:
    row_source(statement_host& host, std::string_view sql, params args, std::size_t rows_together)
        : host_(host)
        , sql_(sql)
        , args_(std::move(args))
    {
        chunk = rows_together;
    }
    row_source(const row_source&) = delete;
    row_source& operator=(const row_source&) = delete;
    ~row_source() { abandon(); }

    // The next rows; one result without any, for its columns, when there are none at all; then null.
    asio::awaitable<result_ptr> next();

    void abandon() noexcept override;

private:
    // Where it stands. A stream whose connection was taken away is not over: its user has not seen all rows.
    enum class state : std::uint8_t { not_begun, under_way, over, taken_away };

    asio::awaitable<void> open();
    asio::awaitable<result_ptr> take_next();
    void finish(bool in_time);

    void answered(result_ptr got) override;
    void failed(round_trip::event what, result_ptr why, bool is_known) override;
    void copy_misused() override { misused_copy_ = true; }

    host_reference host_;
    std::string sql_;
    params args_;
    session_impl* session_ = nullptr; // while the statement is under way
    prologue prologue_;
    std::optional<operation> operation_;
    session::time_point begun_;
    open_span_ptr span_;
    std::string commented_;
    result_ptr rows_;
    result_ptr error_;
    std::uint64_t count_ = 0;
    std::uint64_t bytes_ = 0;
    state state_ = state::not_begun;
    bool error_is_known_ = false;
    bool idle_ = false;  // no transaction was open when it began
    bool again_ = false; // it was sent a second time
    bool prologue_made_ = false;
    bool misused_copy_ = false;
};

} // namespace pgcoro::detail
