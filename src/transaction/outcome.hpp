// Asks servers what became of a transaction whose end got no answer, until the core has heard enough.
#pragma once

#include "transaction/core.hpp"

#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/deadline.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <string>

namespace pgcoro::detail
{

class pool_impl;
class session;

// Where connections come from that the outcome is asked on.
class connection_source
{
public:
    virtual boost::asio::awaitable<lease> acquire(std::chrono::milliseconds within) = 0;

protected:
    ~connection_source() = default;
};

// A pool, which lives at least as long.
class pool_source final : public connection_source
{
public:
    explicit pool_source(std::shared_ptr<pool_impl> from) noexcept
        : pool_(std::move(from))
    {}
    boost::asio::awaitable<lease> acquire(std::chrono::milliseconds within) override;

private:
    std::shared_ptr<pool_impl> pool_;
};

// What is asked for besides the id that the core has.
struct outcome_keys
{
    std::string gid;    // of a transaction that was to be prepared; else empty
    std::string marker; // of the row that went with COMMIT; else empty
};

// Asks until the core decides: for half a minute and no longer than the deadline says, but for some seconds in any
// case. Throws commit_unknown, which says why and how the answer was lost (`lost`).
boost::asio::awaitable<void> find_outcome(transaction_core& core, connection_source& from, outcome_keys keys,
                                          deadline until, std::exception_ptr lost);

// Throws commit_unknown, with what the connection was lost by.
[[noreturn]] void throw_unknown(const std::string& what, const std::exception_ptr& lost);

// Who the server is, and whether what is committed there is as durable as the session asked for, by a statement of
// its own. Throws what session::run() throws.
struct server_state
{
    server_identity identity;
    bool durable = false;
    bool prepared = false; // a transaction of the name that was asked for is prepared
};
boost::asio::awaitable<server_state> ask_server(session& s, std::string gid, deadline limit);

// For waits that take a number of milliseconds: at least one.
std::chrono::milliseconds time_left(const deadline& limit);

} // namespace pgcoro::detail
