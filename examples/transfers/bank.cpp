#include "bank.hpp"

#include <array>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <vector>

namespace transfers
{

namespace asio = boost::asio;

namespace
{

constexpr std::int64_t opening_cents = 1'000'000;

// How often the ledger has a transfer.
struct entry
{
    std::int64_t transfer;
    std::int64_t times;
};

std::string random_schema()
{
    std::array<char, 32> name{};
    std::snprintf(name.data(), name.size(), "pgcoro_transfers_%08x", std::random_device{}());
    return name.data();
}

// Every second account is a hot one.
std::int32_t random_account(std::mt19937& rng)
{
    using number = std::uniform_int_distribution<std::int32_t>;
    if (std::bernoulli_distribution(0.5)(rng)) return number(1, bank::hot_accounts)(rng);
    return number(bank::hot_accounts + 1, bank::hot_accounts + bank::cold_accounts)(rng);
}

} // namespace

transfer random_transfer(std::mt19937& rng)
{
    transfer t;
    t.source = random_account(rng);
    do t.target = random_account(rng);
    while (t.target == t.source);
    t.cents = std::uniform_int_distribution<std::int64_t>(1, 10'000)(rng);
    t.target_first = std::bernoulli_distribution(0.5)(rng);
    return t;
}

bank::bank(pgcoro::pool& pool)
    : bank(database(&pool))
{}

bank::bank(pgcoro::cluster& cluster)
    : bank(database(&cluster))
{}

// Names carry the schema: a search_path would be one more thing that a pooler in between may refuse.
bank::bank(database where)
    : database_(where)
    , schema_(random_schema())
    , change_balance_("update " + schema_ + ".account set cents = cents + $1 where id = $2")
    , write_ledger_("insert into " + schema_ +
                    ".ledger (transfer, source, target, cents) values ($1, $2, $3, $4)")
    , sum_balances_("select sum(cents)::bigint from " + schema_ + ".account")
    , count_wrong_balances_("select count(*) from " + schema_ +
                            ".account left join (select account, sum(cents)::bigint as moved from ("
                            "select target as account, cents from " +
                            schema_ + ".ledger union all select source, -cents from " + schema_ +
                            ".ledger) as entry group by account) as entries on account = id "
                            "where cents is distinct from $1 + coalesce(moved, 0)")
    , count_transfers_("select transfer, count(*) from " + schema_ + ".ledger group by transfer")
{}

asio::awaitable<void> bank::open()
{
    pgcoro::transaction_options options;
    options.name = "open the bank";
    auto body = [this](pgcoro::transaction& tx) -> asio::awaitable<std::int64_t> {
        auto create_schema = "create schema " + schema_;
        co_await tx.execute(create_schema);
        // Room in the pages for the new versions of a row that is changed again and again.
        auto create_accounts = "create table " + schema_ +
                               ".account (id int primary key, cents bigint not null) with (fillfactor = 50)";
        co_await tx.execute(create_accounts);
        // Not unique: a transfer that takes place twice is to be seen, not to be refused.
        auto create_ledger = "create table " + schema_ +
                             ".ledger (transfer bigint not null, source int not null, target int not null,"
                             " cents bigint not null, at timestamptz not null default clock_timestamp())";
        co_await tx.execute(create_ledger);
        auto fill = "insert into " + schema_ + ".account select n, $1 from generate_series(1, $2) as n";
        co_await tx.execute(fill, opening_cents, hot_accounts + cold_accounts);
        auto analyze = "analyze " + schema_ + ".account";
        co_await tx.execute(analyze);
        co_return co_await all_money(tx);
    };
    cents_before_ = co_await transactional(body, options);
}

asio::awaitable<void> bank::move(const transfer& t, const pgcoro::transaction_options& options)
{
    auto body = [this, &t](pgcoro::transaction& tx) -> asio::awaitable<void> {
        for (bool target : {t.target_first, !t.target_first}) {
            auto account = target ? t.target : t.source;
            auto touched = co_await tx.execute(change_balance_, target ? t.cents : -t.cents, account);
            if (touched != 1) throw std::logic_error("there is no account " + std::to_string(account));
        }
        co_await tx.execute(write_ledger_, t.id, t.source, t.target, t.cents);
    };
    co_await transactional(body, options);
}

asio::awaitable<std::int64_t> bank::all_money(pgcoro::transaction& tx)
{
    return tx.query_value<std::int64_t>(sum_balances_);
}

asio::awaitable<audit> bank::check(const journal& told)
{
    audit found;
    std::vector<entry> ledger;
    pgcoro::transaction_options options;
    options.name = "check the books";
    options.isolation = pgcoro::isolation::repeatable_read; // one snapshot for all three questions
    auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
        found.cents_after = co_await all_money(tx);
        auto off = co_await tx.query_value<std::int64_t>(count_wrong_balances_, opening_cents);
        found.accounts_off = static_cast<std::uint64_t>(off);
        ledger = co_await tx.query_as<entry>(count_transfers_);
    };
    co_await transactional(body, options);

    found.cents_before = cents_before_;
    auto fates = told.fates(); // a copy: those done are crossed off where the ledger has them

    for (auto [id, times] : ledger) {
        found.ledger_rows += static_cast<std::uint64_t>(times);
        if (times > 1) ++found.doubled;
        auto caller = static_cast<std::size_t>(id >> 32);
        auto number = static_cast<std::size_t>(id & 0xffff'ffff);
        if (id < 0 || caller >= fates.size() || number >= fates[caller].size()) {
            ++found.unasked;
            continue;
        }
        auto& f = fates[caller][number];
        if (f == fate::unknown) ++found.unknown_happened;
        if (f == fate::failed || f == fate::under_way) ++found.unasked;
        if (f == fate::done) f = fate::under_way;
    }
    for (auto& own : fates)
        for (auto f : own)
            if (f == fate::done) ++found.lost;
    co_return found;
}

asio::awaitable<void> bank::close()
{
    pgcoro::transaction_options options;
    options.name = "close the bank";
    auto body = [this](pgcoro::transaction& tx) -> asio::awaitable<void> {
        auto drop = "drop schema if exists " + schema_ + " cascade";
        co_await tx.execute(drop);
    };
    co_await transactional(body, options);
}

} // namespace transfers
