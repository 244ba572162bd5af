#pragma once

#include "histories/list_append.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace chaos
{

/// A table of lists, which transactions of one isolation level append to and read, and the history of these
/// transactions.
class registers
{
public:
    /// `c` must outlive it. `limit` is the time for one transaction, retries included.
    registers(pgcoro::cluster& c, histories::isolation level, std::chrono::milliseconds limit);

    /// The table of that isolation level's lists.
    static std::string table_of(histories::isolation level);

    /// Creates the table.
    boost::asio::awaitable<void> open(pgcoro::pool& through);
    /// Runs one transaction, of up to four appends and reads. Throws the error of the transaction.
    boost::asio::awaitable<void> run_one(std::mt19937& rng);
    /// Reads the lists, and checks the history of all transactions that have ended. Returns what was found,
    /// one anomaly a line.
    boost::asio::awaitable<std::vector<std::string>> check(pgcoro::pool& through);

    std::size_t count(histories::fate came) const;

private:
    static constexpr std::int64_t lists_at_once = 6;
    static constexpr std::int64_t appends_per_list = 60; ///< then another list takes its place

    histories::operation draw(std::mt19937& rng);
    boost::asio::awaitable<void> append(pgcoro::transaction& tx, const histories::operation& o, bool last);
    boost::asio::awaitable<void> read(pgcoro::transaction& tx, histories::operation& o, bool last);
    pgcoro::transaction_options options(std::int64_t number) const;

    pgcoro::cluster& cluster_;
    histories::isolation level_;
    std::chrono::milliseconds limit_;
    std::string create_;
    std::string append_;
    std::string append_and_return_;
    std::string read_;
    std::string read_all_;
    histories::history history_;
    std::uint64_t moments_ = 0; ///< of the history
    std::int64_t appends_ = 0;
};

} // namespace chaos
