#pragma once

#include "bank.hpp"
#include "journal.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <random>

namespace transfers
{

/// So many coroutines, each of which asks for one transfer after another.
class callers
{
public:
    /// `b` must outlive the callers. `limit` is the time for one transfer, retries included; 0: none.
    callers(bank& b, int how_many, std::chrono::milliseconds limit = {})
        : bank_(b)
        , journal_(how_many)
        , how_many_(how_many)
        , limit_(limit)
    {}

    /// Runs them for that long, or until stop(); returns when each has come to the end of its last transfer.
    boost::asio::awaitable<void> run(std::chrono::seconds duration);

    /// One transfer by one caller, of 0 to how_many - 1: what became of it, which the journal has then, too.
    boost::asio::awaitable<fate> ask(int caller, std::mt19937& rng);

    /// Nothing more is asked for. What is under way comes to its end.
    void stop() noexcept { stopped_ = true; }

    const journal& told() const noexcept { return journal_; }
    /// How long run() ran.
    std::chrono::duration<double> ran() const noexcept { return ran_; }

private:
    boost::asio::awaitable<void> call(int number);

    bank& bank_;
    journal journal_;
    int how_many_;
    std::chrono::milliseconds limit_;
    bool stopped_ = false;
    std::chrono::steady_clock::time_point until_;
    std::chrono::duration<double> ran_{};
};

} // namespace transfers
