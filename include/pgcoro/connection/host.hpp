// What streams, pipelines, COPY and scripts run on. Not for users.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{
namespace detail
{

class session;

// A statement of the library that travels with a user's statement. Its result is ignored, its error is the error of the
// user's statement.
struct companion
{
    std::string sql;
    const params* args = nullptr; // texts only; null for no parameters. They live until the statement ends
    bool prepares = false;        // it comes again and again

    static companion prepared(std::string sql) { return {std::move(sql), nullptr, true}; }
    static companion prepared(std::string sql, const params& args) { return {std::move(sql), &args, true}; }
};

// Where a COMMIT travels with a statement.
enum class commit_place {
    none,
    before_sync, // in the same series: it is skipped if the statement fails, and the transaction stays open
    after_sync,  // in a series by itself: it rolls back if the statement failed
};

// What goes with a statement.
struct prologue
{
    std::vector<companion> before; // such as BEGIN
    companion behind;              // right behind the statement; only of single statements. Not sent if its text is empty
    std::string_view after;        // one that gives a text, told to statement_host::told()
    commit_place commit = commit_place::none; // behind it all, of single statements and batches
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
    // Called for each statement of a pipeline before begin(), which gets no text then. Throws if the statement must not
    // be sent.
    virtual void check([[maybe_unused]] std::string_view sql) {}
    // The next statement is about to be sent. Throws when none may follow.
    virtual prologue begin(std::string_view sql) = 0;
    // What `prologue::after` gave; null for NULL.
    virtual void told(const char* text) = 0;
    // A statement ended so; gives what its caller is told.
    virtual std::exception_ptr failed(std::exception_ptr why, std::string_view sql) = 0;

protected:
    ~statement_host() = default;
};

struct tenure;

// A host that somebody keeps: a pipeline, a stream. It is the host's as long as its session is lent to the same user, and
// then nobody's: the connection may be closed, somebody else's, or gone.
class host_reference
{
public:
    // Throws what on() throws.
    explicit host_reference(statement_host& host);

    // Throws std::logic_error once it is nobody's.
    statement_host& get() const;
    // Null once it is nobody's.
    statement_host* if_lent() const noexcept;
    [[noreturn]] static void throw_not_lent();

private:
    statement_host* host_;
    std::shared_ptr<const tenure> lent_;
};

} // namespace detail
} // namespace pgcoro
