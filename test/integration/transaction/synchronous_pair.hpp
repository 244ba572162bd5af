#pragma once

#include "integration/transaction/quick_server.hpp"

#include <pgcoro/testing/server.hpp>

#include <string>

/// A primary whose commits wait for its standby.
struct synchronous_pair
{
    pgcoro::testing::server primary = quick_primary();
    pgcoro::testing::server standby{following(primary)};

    synchronous_pair()
    {
        set_standbys("*");
        standby.catch_up_with(primary);
    }
    void wait_no_more() { set_standbys(""); }

private:
    static pgcoro::testing::server_options following(const pgcoro::testing::server& s)
    {
        pgcoro::testing::server_options o;
        o.replica_of = &s;
        return quick_logins(o);
    }
    void set_standbys(const std::string& names)
    {
        primary.psql("alter system set synchronous_standby_names = '" + names + "'");
        primary.psql("select pg_reload_conf()");
    }
};
