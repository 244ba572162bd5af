#pragma once

#include <pgcoro/export.hpp>

#include <chrono>
#include <mutex>

namespace PGCORO_API pgcoro
{

/// How many retries a budget allows for.
struct retry_budget_options
{
    /// Tokens that each success brings in: 0.2 allows one retry for five successes. 0 or more.
    double ratio = 0.2;

    /// Tokens that come in each second without any success, so that little traffic can retry too. 0 or more.
    double min_per_second = 10;

    /// The most that is saved up, and what there is at the start; 1 or more. It bounds a burst of retries.
    double capacity = 100;

    /// Throws `std::invalid_argument`, with the field, its value and its range, if a field is out of range.
    void validate() const;
};

/// A token bucket that bounds the retries of many callers together: each success brings in some of a token,
/// each retry takes one. While all is well there are always enough; when the server is sick, its load grows
/// by `ratio` and no more, instead of being multiplied by the number of attempts.
///
/// After the retry budgets of Finagle (com.twitter.finagle.service.RetryBudget: ratio and a minimum a second)
/// and the retry throttling of gRPC (proposal A6: tokens that saved-up success brings in, up to a maximum).
///
/// Thread-safe. Time is an argument; a time before the last one brings nothing in.
class retry_budget
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    explicit retry_budget(retry_budget_options options = {},
                          time_point now = std::chrono::steady_clock::now());

    /// A call succeeded.
    void deposit() noexcept;

    /// May one more retry be made? If so its token is gone.
    bool try_withdraw(time_point now = std::chrono::steady_clock::now()) noexcept;

    /// The tokens that are there.
    double available(time_point now = std::chrono::steady_clock::now()) noexcept;

    const retry_budget_options& options() const noexcept { return options_; }

private:
    void refill(time_point now) noexcept;

    const retry_budget_options options_;
    std::mutex mutex_;
    double tokens_;
    time_point refilled_at_;
};

} // namespace pgcoro
