// What the service does with its database: accounts are read by way of the cache, money moves in
// transactions.
#pragma once

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/pool/pool.hpp>

#include <cstdint>
#include <optional>
#include <string>

struct account
{
    std::int64_t id;
    std::string owner;
    std::int64_t cents;
};

class bank
{
public:
    bank(pgcoro::pool& p, pgcoro::query_cache& cache)
        : pool_(p)
        , cache_(cache)
    {}

    // Makes the tables, with so many accounts.
    boost::asio::awaitable<void> open(int accounts);
    boost::asio::awaitable<std::optional<account>> find(std::int64_t id);
    // False when the sender has too little.
    boost::asio::awaitable<bool> transfer(std::int64_t from, std::int64_t to, std::int64_t cents);

private:
    pgcoro::pool& pool_;
    pgcoro::query_cache& cache_;
};
