// When a transaction gives its server a new statement_timeout. No I/O, no clock.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace pgcoro::detail
{

// The server counts a statement_timeout from the start of each statement, and a transaction's time ends at one point. So
// the server's limit is exact for the statement that it travels with, and grows late for those that follow. It travels
// again only when it has grown late by `slack`.
class statement_limit
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using milliseconds = std::chrono::milliseconds;

    // How late the server may stop a statement. The client waits longer than that.
    static constexpr milliseconds slack{50};

    // Returns the limit that is to travel with a statement that is sent now, before `end`; nothing if the server's limit
    // will do. `usual` is the session's limit; 0 is no limit.
    std::optional<milliseconds> next(time_point now, time_point end, milliseconds usual);

    // The limit on the server may be another one now: a savepoint was undone, or a statement changed it.
    void forget() noexcept;

    // Returns true if the text may change the limit: it mentions a timeout, set_config or RESET. An empty text, of
    // several statements, may.
    static bool may_change(std::string_view sql) noexcept;

private:
    std::optional<time_point> sent_at_;
    bool usual_holds_ = true;
};

} // namespace pgcoro::detail
