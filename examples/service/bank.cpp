#include "bank.hpp"

#include <pgcoro/transaction/transactional.hpp>

namespace asio = boost::asio;

asio::awaitable<void> bank::open(int accounts)
{
    auto connection = co_await pool_.acquire();
    co_await connection->execute_script("drop table if exists account, owner;"
                                        "create table owner (id bigint primary key, name text not null);"
                                        "create table account (id bigint primary key references owner,"
                                        " cents bigint not null check (cents >= 0))");
    co_await connection->execute("insert into owner select n, 'owner ' || n from generate_series(1, $1) n",
                                 accounts);
    co_await connection->execute("insert into account select id, 100000 from owner");
}

asio::awaitable<std::optional<account>> bank::find(std::int64_t id)
{
    auto owner = co_await cache_.query_optional<std::string>("select name from owner where id = $1", id);
    if (!owner) co_return std::nullopt;
    auto cents = co_await pool_.named("load account")
                     .query_value<std::int64_t>("select cents from account where id = $1", id);
    co_return account{id, *owner, cents};
}

asio::awaitable<bool> bank::transfer(std::int64_t from, std::int64_t to, std::int64_t cents)
{
    pgcoro::transaction_options options{.isolation = pgcoro::isolation::serializable};
    options.name = "transfer";
    auto move = [&](pgcoro::transaction& tx) -> asio::awaitable<bool> {
        auto taken = co_await tx.execute(
            "update account set cents = cents - $1 where id = $2 and cents >= $1", cents, from);
        if (taken == 0) co_return false;
        co_await tx.execute("update account set cents = cents + $1 where id = $2", cents, to);
        co_return true;
    };
    auto done = co_await pgcoro::transactional(pool_, move, options);
    co_return done;
}
