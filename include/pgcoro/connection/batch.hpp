// Many statements in one round trip: what pipelines and the …_many functions are made of. Not for users.
#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{
namespace detail
{

// Statements in their order, made when there is room to send them.
class batch
{
public:
    struct statement
    {
        std::string_view sql;         // lives until the batch ends
        const params* args = nullptr; // lives until next() is called again
        bool alone = false;           // a transaction of its own: a Sync before it and behind it
        const local_settings* settings = nullptr; // of its transaction, if it is alone; may be null
    };

    // False when there are no more. What it throws ends the batch: without barriers, nothing of it stays.
    virtual bool next(statement& made) = 0;
    // The i-th statement, counted from 0, gave this.
    virtual void answered(std::size_t i, result got) = 0;
    // Where it goes_on(): the i-th statement failed; that may also come after its answer. Those behind it up
    // to the next Sync were not run, and come to nothing. `is_stale`: its statement had been prepared earlier on this
    // connection, and did not fit any more; it has done nothing, and would be prepared again if it were run again.
    virtual void failed(std::size_t i, std::exception_ptr why, bool is_stale) = 0;
    // All before the i-th are committed, or failed.
    virtual void synced(std::size_t) {}
    // Begins again with the first statement. False where that is not possible.
    virtual bool rewind() = 0;
    // What an error says of the statement's place; empty for nothing.
    virtual std::string place(std::size_t i) const
    {
        return "in statement " + std::to_string(i + 1) + " of the pipeline";
    }
    // When one has failed, are those behind the next Sync run?
    virtual bool goes_on() const = 0;

protected:
    ~batch() = default;
};

// Runs it. Throws the error of the first statement that failed, which it names, unless it goes on.
boost::asio::awaitable<void> run_batch(statement_host& host, batch& b);

} // namespace detail
} // namespace pgcoro
