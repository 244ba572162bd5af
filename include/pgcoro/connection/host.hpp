// What streams, pipelines, COPY and scripts run on. Not for users.
#pragma once

#include <pgcoro/export.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{
namespace detail
{

class session;

// What goes with a statement.
struct prologue
{
    // Statements without parameters, such as BEGIN, in the same round trip. Not worth preparing, but for the
    // first if `prepare_first`.
    std::vector<std::string> before;
    bool prepare_first = false; // it comes again and again, as BEGIN does
    std::string_view after;     // one that gives a text, told to statement_host::told()
    bool commit = false;        // COMMIT goes behind it all: for single statements and batches
    // The answer is due by then, or by the statement_timeout's own limit.
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};
inline const prologue no_prologue;

// Who runs statements on a session: a connection as it is, or a transaction, which has a BEGIN to send and a
// time limit of its own.
class statement_host
{
public:
    // Throws when there is none (any more).
    virtual session& on() = 0;
    // The next statement is about to be sent. Throws when none may follow.
    virtual prologue begin(std::string_view sql) = 0;
    // What `prologue::after` gave; null for NULL.
    virtual void told(const char* text) = 0;
    // A statement ended so; gives what its caller is told.
    virtual std::exception_ptr failed(std::exception_ptr why, std::string_view sql) = 0;

protected:
    ~statement_host() = default;
};

} // namespace detail
} // namespace pgcoro
