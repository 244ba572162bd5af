#pragma once

#include "integration/fixture.hpp"
#include "integration/run.hpp"

#include <pgcoro/pgcoro.hpp>

namespace asio = boost::asio;

/// A pool, and three accounts with 100 each.
struct bank
{
    pgcoro::pool p;

    static pgcoro::pool_options options()
    {
        pgcoro::pool_options o;
        o.connection = pgcoro::connection_options::from_uri(shared_server().uri());
        o.size = 4;
        o.max_overflow = 0;
        o.name = "transaction test";
        return o;
    }

    explicit bank(asio::any_io_executor executor, const pgcoro::pool_options& o = options())
        : p(executor, o)
    {
        shared_server().psql(
            "drop table if exists account; create table account (id int primary key, cents bigint); "
            "insert into account values (1, 100), (2, 100), (3, 100)");
    }
};

inline std::string cents(int id)
{
    return shared_server().psql("select cents from account where id = " + std::to_string(id));
}
