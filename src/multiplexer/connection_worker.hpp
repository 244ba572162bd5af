// What sends statements over one connection at a time.
#pragma once

#include "connection/clock.hpp"
#include "connection/session.hpp"
#include "multiplexer/pending_statement.hpp"

#include <pgcoro/connection/batch.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <memory>
#include <string>

namespace pgcoro::detail
{

class multiplexer_impl;

// Carries out what the core's worker decides. Shared by its coroutine and by requests to stop it; destroyed
// before its coroutine has ended, for instance with its I/O context, it gives its statements back.
class connection_worker final : public multiplexer_core::worker,
                                public batch,
                                public std::enable_shared_from_this<connection_worker>
{
public:
    connection_worker(std::shared_ptr<multiplexer_impl> owner, const asio::any_io_executor& executor)
        : strand(asio::make_strand(executor))
        , owner_(std::move(owner))
    {}
    ~connection_worker();

    // Where its coroutine runs, and where alone it may be stopped.
    const asio::strand<asio::any_io_executor> strand;
    asio::cancellation_signal stop;
    bool begun = false; // on the strand: a coroutine must not be cancelled before its first turn

    bool next(batch::statement& made) override;
    void answered(std::size_t i, result got) override;
    void failed(std::size_t i, std::exception_ptr why, bool is_stale) override;
    void synced(std::size_t n) override;
    std::string place(std::size_t) const override { return {}; }
    bool rewind() override { return false; }
    bool goes_on() const override { return true; }

private:
    std::shared_ptr<multiplexer_impl> owner_;
};

// Stores why it failed, and tells the caller. It was settled before.
void tell_failure(multiplexer_core::statement& s, std::exception_ptr why);

} // namespace pgcoro::detail
