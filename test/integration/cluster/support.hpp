#pragma once

#include "integration/beside.hpp"
#include "integration/run.hpp"

#include <pgcoro/cluster/transactional.hpp>
#include <pgcoro/testing/server.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <string>

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// A primary with two replicas that stream from it.
struct trio
{
    static pgcoro::testing::server replica_of(const pgcoro::testing::server& primary)
    {
        pgcoro::testing::server_options options;
        options.replica_of = &primary;
        return pgcoro::testing::server(options);
    }

    trio()
        : first(replica_of(primary))
        , second(replica_of(primary))
    {}

    /// A commit is acknowledged when one replica has it, too: what was acknowledged survives a promotion of
    /// the replica that got farthest.
    void replicate_synchronously()
    {
        for (auto* s : {&primary, &first, &second}) {
            s->psql("alter system set synchronous_standby_names = 'ANY 1 (*)'");
            s->psql("select pg_reload_conf()");
        }
    }

    void catch_up() const
    {
        first.catch_up_with(primary);
        second.catch_up_with(primary);
    }

    std::string uri() const
    {
        auto at = [](const pgcoro::testing::server& s) { return "127.0.0.1:" + std::to_string(s.port()); };
        return "postgresql://postgres:" + primary.password() + '@' + at(primary) + ',' + at(first) + ',' +
               at(second) + "/postgres";
    }

    pgcoro::testing::server primary;
    pgcoro::testing::server first;
    pgcoro::testing::server second;
};

/// Short times: asked often, and bounds that are soon over.
inline pgcoro::cluster_options options_for(const trio& servers)
{
    pgcoro::cluster_options o;
    o.pool.connection = pgcoro::connection_options::from_uri(servers.uri());
    o.pool.name = "cluster test";
    o.pool.size = 4;
    o.pool.max_overflow = 4;
    o.check_interval = 50ms;
    o.recheck_interval = 20ms;
    o.max_lag = 5s;
    o.failover_timeout = 20s;
    return o;
}

inline asio::awaitable<void> pause(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

/// Lets others run until the condition holds; the test helper's patience bounds it.
template <class Condition>
asio::awaitable<void> until(Condition condition)
{
    while (!condition()) co_await pause(2ms);
}

inline pgcoro::host_stats figures(const pgcoro::cluster& c, const pgcoro::testing::server& s)
{
    for (auto& h : c.stats().hosts)
        if (h.name == "127.0.0.1:" + std::to_string(s.port())) return h;
    throw std::runtime_error("the cluster has no host on port " + std::to_string(s.port()));
}

/// All hosts have their roles, and the replicas are fit for reads.
inline asio::awaitable<void> settled(const pgcoro::cluster& c)
{
    co_await until([&] {
        auto all = c.stats().hosts;
        int fit = 0;
        int primaries = 0;
        for (auto& h : all) {
            primaries += h.role == pgcoro::host_role::primary;
            fit += h.role == pgcoro::host_role::replica && h.lag && *h.lag < 1s;
        }
        return primaries == 1 && fit + 1 == static_cast<int>(all.size());
    });
}

/// Which server runs it, in words that the parser takes for a read.
inline constexpr const char* which = "select current_setting('port')::int";
