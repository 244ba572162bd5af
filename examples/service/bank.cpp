#include "bank.hpp"

#include <pgcoro/transaction/transactional.hpp>

namespace asio = boost::asio;

asio::awaitable<void> bank::open(int accounts)
{
    auto connection = co_await pool_.acquire();
    co_await connection->execute_script("drop table if exists account;"
                                        "create table account (id bigint primary key, owner text not null,"
                                        " cents bigint not null check (cents >= 0))");
    co_await connection->execute(
        "insert into account select n, 'owner ' || n, 100000 from generate_series(1, $1) n", accounts);
}

asio::awaitable<std::optional<account>> bank::find(std::int64_t id)
{
    auto found =
        co_await cache_.query_optional<account>("select id, owner, cents from account where id = $1", id);
    co_return found;
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
        cache_.invalidate_at_commit(tx, {"public.account"});
        co_return true;
    };
    auto done = co_await pgcoro::transactional(pool_, move, options);
    co_return done;
}
