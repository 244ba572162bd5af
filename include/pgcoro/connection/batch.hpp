// Many statements in one round trip: what pipelines and the …_many functions are made of. Not for users.
#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <exception>
#include <string_view>

namespace pgcoro::detail
{

// Statements in their order, made when there is room to send them.
class batch
{
public:
    struct statement
    {
        std::string_view sql;         // lives until the batch ends
        const params* args = nullptr; // lives until next() is called again
    };

    // False when there are no more. What it throws ends the batch: without barriers, nothing of it stays.
    virtual bool next(statement& made) = 0;
    // The i-th statement, counted from 0, gave this.
    virtual void answered(std::size_t i, result got) = 0;
    // With barriers: the i-th statement failed; that may also come after its answer.
    virtual void failed(std::size_t i, std::exception_ptr why) = 0;
    // Begins again with the first statement. False where that is not possible.
    virtual bool rewind() = 0;
    // Is each statement a transaction of its own?
    virtual bool barriers() const = 0;

protected:
    ~batch() = default;
};

// Runs it. Throws the error of the first statement that failed, which it names, unless there are barriers.
boost::asio::awaitable<void> run_batch(statement_host& host, batch& b);

} // namespace pgcoro::detail
