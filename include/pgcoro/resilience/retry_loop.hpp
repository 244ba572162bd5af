#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/resilience/retry_policy.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

class observer;
class retry_budget;
class retry_statistics;
enum class retry_outcome;

/// What a retried call shares with its surroundings. All that is pointed to must outlive the call; null is
/// none.
struct retry_options
{
    /// What is done, for messages, events and statistics; may be empty.
    operation_name operation = {};

    /// No attempt starts, and no delay ends, after this. The attempt itself must look after its own time.
    pgcoro::deadline deadline = {};

    /// Asked before each retry, told of each success.
    retry_budget* budget = nullptr;

    retry_statistics* statistics = nullptr;

    /// Told of each retry, before its delay.
    pgcoro::observer* observer = nullptr;

    /// Null: time_source::steady().
    time_source* time = nullptr;
};

/// Why a call is not tried again.
enum class retry_stop {
    none,          ///< it is tried again, or did not fail
    not_retryable, ///< the error is not one to be retried
    cancelled,     ///< the caller cancelled
    attempts,      ///< the policy's max_attempts are made
    elapsed,       ///< the next attempt would start after the policy's max_elapsed
    deadline,      ///< the next attempt would start after the deadline
    budget,        ///< the retry budget is used up
    circuit,       ///< a circuit breaker stays open for longer than the policy's longest delay
};

/// "all attempts are made", "the retry budget is used up" …: for messages and labels.
std::string_view to_string(retry_stop why) noexcept;

/// The mind of a retry, without the call itself: it is told how each attempt ended, and says whether and when
/// there is another. retry() is built on it, and so is what has to do more between attempts.
///
/// One object serves one call, in one thread at a time. The policy and the options must outlive it. Destroyed
/// without succeeded() or an end by failed(), it counts the call as cancelled.
class retry_loop
{
public:
    using duration = std::chrono::nanoseconds;

    /// Starts the first attempt. Throws what `policy.validate()` throws.
    retry_loop(const retry_policy& policy, const retry_options& options);
    ~retry_loop();
    retry_loop(const retry_loop&) = delete;
    retry_loop& operator=(const retry_loop&) = delete;

    /// The attempt succeeded: the budget and the statistics learn of it.
    void succeeded() noexcept;

    /// The attempt failed. `retryable` says whether such an error is worth another attempt; a cancellation
    /// never is, nor is anything once `cancelled` says that the caller gave up. True: wait(), then try again.
    /// False: that was the last attempt, rethrow().
    bool failed(std::exception_ptr failure, bool retryable, bool cancelled = false);

    /// Waits for delay() on the caller's executor; with that the next attempt starts. A cancelled wait throws
    /// `operation_aborted`.
    boost::asio::awaitable<void> wait();

    /// Throws the last error, the very object that was given to failed(). A pgcoro::error that came after a
    /// retry, or would have been retried but for a bound, has a note about it all (see error::add_note()):
    /// how many attempts in how long, why no more, and what the earlier ones failed of.
    [[noreturn]] void rethrow();

    /// The attempt under way, or the last one; counted from 1.
    int attempt() const noexcept { return attempt_; }
    /// The delay before the next attempt, as failed() found it.
    duration delay() const noexcept { return delay_; }
    /// All delays that were waited for.
    duration waited() const noexcept { return waited_; }
    /// Why there is no further attempt.
    retry_stop stop() const noexcept { return stop_; }

private:
    retry_stop decide(bool retryable, bool cancelled);
    void end(retry_outcome outcome) noexcept;
    std::string note() const;

    const retry_policy& policy_;
    const retry_options& options_;
    time_source& time_;
    const time_source::time_point started_;
    int attempt_ = 1;
    bool ended_ = false;
    retry_stop stop_ = retry_stop::none;
    duration delay_{};
    duration waited_{};
    std::string history_; // a line for each of the first attempts that failed and were followed by another
    std::exception_ptr failure_;
};

} // namespace pgcoro
