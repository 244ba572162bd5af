/// Transactions that can be recognised afterwards: each inserts rows with its own number. The outcome that
/// each caller received is kept, and compared with the rows.
#pragma once

#include "integration/support/proxy.hpp"

#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace test
{

/// What became of numbered transactions, and what is wrong about it.
struct numbered_outcome
{
    std::size_t committed = 0;
    std::size_t failed = 0;
    std::size_t unknown = 0;
    std::size_t unknown_happened = 0; ///< of those: their rows are there
    std::vector<std::string> unknown_reasons;
    std::vector<std::string> wrong; ///< a line for each promise that was not kept; empty if all were
};

/// Callers that run such transactions until they are stopped, by every way to send a statement: by
/// itself, in a pipeline, streamed and read to the end or left early, abandoned by its body, and together
/// with COMMIT.
class numbered_work
{
public:
    static constexpr int callers = 4;

    numbered_work(pgcoro::pool_options where, pgcoro::resolve_commit how, std::uint32_t seed);

    /// Creates the table of the rows, `numbered`, and that of the markers.
    static void create_tables(pgcoro::testing::server& s);
    /// For `harm`: waits until between `least` and `most` more transactions have ended, or it takes too
    /// long.
    void let_pass(std::size_t least, std::size_t most, std::mt19937& rng) const;
    /// Runs the callers on this thread and `harm` on another one; returns when both have ended.
    void run_during(const std::function<void()>& harm);
    /// Compares the outcomes with the rows of these servers, all taken together.
    numbered_outcome compare(const std::vector<const pgcoro::testing::server*>& with) const;

private:
    enum class fate { under_way, committed, failed, unknown };
    struct entry
    {
        fate came = fate::under_way;
        int least = 1; // rows, if it took effect
        int most = 1;
        std::string way;
        std::string error;
    };

    boost::asio::awaitable<void> call(pgcoro::pool& through);
    boost::asio::awaitable<void> run_one(pgcoro::pool& through);

    pgcoro::pool_options where_;
    pgcoro::resolve_commit how_;
    std::mt19937 rng_;
    std::atomic<bool> stopped_ = false;
    std::atomic<std::size_t> ended_ = 0;
    std::vector<entry> told_; // by number
};

/// The script of a proxy that cuts or resets connections, at random bytes of statements and answers: one
/// statement of `rarity`, and one COMMIT of five. Called on the proxy's thread.
class random_cuts
{
public:
    random_cuts(std::uint32_t seed, int rarity)
        : rng_(seed)
        , rarity_(rarity)
    {}

    std::optional<fault> operator()(std::string_view message);
    std::size_t count() const noexcept { return count_; }

private:
    std::mt19937 rng_;
    int rarity_;
    std::atomic<std::size_t> count_ = 0;
};

} // namespace test
