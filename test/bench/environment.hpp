// Where it is measured: a private server, on a core of its own where there are two.
#pragma once

#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include <sched.h>

namespace bench
{

// Which cores this thread, and all that it starts from now on, runs on; what it was before, afterwards.
class on_cores
{
public:
    explicit on_cores(const cpu_set_t& cores);
    on_cores(const on_cores&) = delete;
    on_cores& operator=(const on_cores&) = delete;
    ~on_cores();

private:
    cpu_set_t before_;
};

// A row of the table that all measures work on.
struct account
{
    std::int64_t id;
    std::string owner;
    std::int64_t cents;
    double rate;
};

class environment
{
public:
    static constexpr std::int64_t accounts = 100'000;

    // Starts the server and fills the table.
    environment();

    const pgcoro::testing::server& server() const { return server_; }
    std::string uri() const { return server_.uri(); }
    // Options of a pool that holds as many connections as are to be used at once, and does not grow.
    pgcoro::pool_options pool(std::size_t size) const;
    // All cores that this process was given, for what is measured without the server.
    const cpu_set_t& all_cores() const { return all_; }
    bool pinned() const { return pinned_; }

private:
    cpu_set_t all_{};
    bool pinned_ = false;
    pgcoro::testing::server server_;
};

} // namespace bench
