// What one connection is sent at a time.
#pragma once

#include "connection/clock.hpp"
#include "connection/session.hpp"
#include "multiplexer/call.hpp"

#include <pgcoro/connection/batch.hpp>
#include <pgcoro/connection/connection.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>
#include <boost/intrusive/list.hpp>

#include <chrono>
#include <memory>
#include <vector>

namespace pgcoro::detail
{

// Reads share a Sync with their neighbours; all else has one of its own.
class lane final : public batch,
                   public boost::intrusive::list_base_hook<>,
                   public std::enable_shared_from_this<lane>
{
public:
    lane(const asio::any_io_executor& executor, clock::duration slow_after)
        : strand(asio::make_strand(executor))
        , slow_after_(slow_after)
    {}

    // Where it works, and where alone it may be told to stop.
    const asio::strand<asio::any_io_executor> strand;
    asio::cancellation_signal stop;

    // Under the multiplexer's lock: what it has been given, and where that runs.
    std::vector<std::shared_ptr<call>> calls;
    pgcoro::connection* connection = nullptr; // null: it runs none
    std::uint64_t batches = 0;                // so many it was given

    bool next(statement& made) override;
    void answered(std::size_t i, result got) override;
    void failed(std::size_t i, std::exception_ptr why) override;
    void synced(std::size_t n) override;
    std::string place(std::size_t) const override { return {}; }
    bool rewind() override { return false; }
    bool goes_on() const override { return true; }

    // It begins with calls[0].
    void begin();
    // It is through. Calls that are not settled are to be run again, with `lost` or without.
    void end(const std::exception_ptr& lost);

private:
    void learn(call& c, std::string_view tag) const;

    clock::duration slow_after_;
    clock::time_point begun_;
    std::size_t at_ = 0;
    std::vector<call*> made_;
    std::size_t synced_ = 0;
};

// A statement's connection was lost before its answer came: what its caller is told.
std::exception_ptr lost_error(const std::exception_ptr& lost, std::string_view sql, bool read, int times);

// More often than that, the statement may be what breaks them.
constexpr int most_losses = 3;

} // namespace pgcoro::detail
