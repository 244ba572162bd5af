#pragma once

#include "journal.hpp"

#include <pgcoro/pgcoro.hpp>

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <variant>

namespace transfers
{

/// One movement of money.
struct transfer
{
    std::int64_t id = 0;
    std::int32_t source = 0;
    std::int32_t target = 0;
    std::int64_t cents = 0;
    bool target_first = false; ///< the order in which the rows are locked
};

/// Between two different accounts, every second time a hot one.
transfer random_transfer(std::mt19937& rng);

/// What the books say in the end.
struct audit
{
    std::int64_t cents_before = 0;
    std::int64_t cents_after = 0;
    std::uint64_t accounts_off = 0; ///< whose balance is not what they began with + ledger in - ledger out
    std::uint64_t ledger_rows = 0;
    std::uint64_t doubled = 0;          ///< transfers that are in the ledger more than once
    std::uint64_t lost = 0;             ///< told as done, and not in the ledger
    std::uint64_t unasked = 0;          ///< in the ledger, and told as failed, or never asked for
    std::uint64_t unknown_happened = 0; ///< commit_unknown, and in the ledger: either is right

    bool money_kept() const { return cents_before == cents_after; }
    bool ledger_agrees() const { return accounts_off == 0; }
    bool exactly_once() const { return doubled == 0 && lost == 0 && unasked == 0; }
    bool passed() const { return money_kept() && ledger_agrees() && exactly_once(); }
};

/// The bank's tables, in a schema of their own.
class bank
{
public:
    static constexpr std::int32_t hot_accounts = 10;
    static constexpr std::int32_t cold_accounts = 100'000;

    /// `pool` must outlive the bank.
    explicit bank(pgcoro::pool& pool);
    /// All that the bank does takes place on the primary. `cluster` must outlive the bank.
    explicit bank(pgcoro::cluster& cluster);

    /// From now on the bank works through this, which must outlive it.
    void use(pgcoro::pool& pool) noexcept { database_ = &pool; }
    void use(pgcoro::cluster& cluster) noexcept { database_ = &cluster; }

    /// Makes the schema and fills the accounts.
    boost::asio::awaitable<void> open();
    /// Moves money, in one transaction. `t` and `options` must live until that has ended.
    boost::asio::awaitable<void> move(const transfer& t, const pgcoro::transaction_options& options);
    /// Holds the database against itself and against the callers' journal.
    boost::asio::awaitable<audit> check(const journal& told);
    /// Drops the schema.
    boost::asio::awaitable<void> close();

    const std::string& schema() const { return schema_; }
    /// All of it, in cents, as it was in the beginning.
    std::int64_t opening_money() const { return cents_before_; }

private:
    using database = std::variant<pgcoro::pool*, pgcoro::cluster*>;

    explicit bank(database where);
    template <class Body>
    auto transactional(Body body, const pgcoro::transaction_options& options)
    {
        return std::visit(
            [&](auto* where) { return pgcoro::transactional(*where, std::move(body), options); }, database_);
    }
    boost::asio::awaitable<std::int64_t> all_money(pgcoro::transaction& tx);

    database database_;
    std::string schema_;
    std::string change_balance_;
    std::string write_ledger_;
    std::string sum_balances_;
    std::string count_wrong_balances_;
    std::string count_transfers_;
    std::int64_t cents_before_ = 0;
};

} // namespace transfers
