#pragma once

#include "bank.hpp"
#include "journal.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace transfers
{

/// So many coroutines, each of which asks for one transfer after another.
class callers
{
public:
    /// `b` must outlive the callers.
    callers(bank& b, int how_many)
        : bank_(b)
        , journal_(how_many)
        , how_many_(how_many)
    {}

    /// Runs them for that long, or until stop(); returns when each has come to the end of its last transfer.
    boost::asio::awaitable<void> run(std::chrono::seconds duration);

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
    bool stopped_ = false;
    std::chrono::steady_clock::time_point until_;
    std::chrono::duration<double> ran_{};
};

} // namespace transfers
