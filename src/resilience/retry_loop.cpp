#include "resilience/chance.hpp"
#include "resilience/text.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/resilience/failure.hpp>
#include <pgcoro/resilience/retry_budget.hpp>
#include <pgcoro/resilience/retry_loop.hpp>
#include <pgcoro/resilience/retry_statistics.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace pgcoro
{
namespace
{

// When a breaker that refused the call lets the next trial through; null when it was no breaker.
std::optional<time_source::time_point> trial_time(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const circuit_open& e) {
        return e.retry_at();
    } catch (...) {
        return std::nullopt;
    }
}

} // namespace

std::string_view to_string(retry_stop why) noexcept
{
    switch (why) {
    case retry_stop::none:
        return "not stopped";
    case retry_stop::not_retryable:
        return "such an error is not retried";
    case retry_stop::cancelled:
        return "the caller cancelled";
    case retry_stop::attempts:
        return "all attempts are made";
    case retry_stop::elapsed:
        return "the policy's time is used up";
    case retry_stop::deadline:
        return "the next attempt would come after the deadline";
    case retry_stop::budget:
        return "the retry budget is used up: too many calls fail at present";
    case retry_stop::circuit:
        return "the circuit breaker stays open for too long to wait";
    }
    return "unknown";
}

retry_loop::retry_loop(const retry_policy& policy, const retry_options& options)
    : policy_(policy)
    , options_(options)
    , time_(options.time ? *options.time : time_source::steady())
    , started_(time_.now())
{
    policy.validate();
}

retry_loop::~retry_loop()
{
    if (!ended_) end(retry_outcome::cancelled);
}

void retry_loop::succeeded() noexcept
{
    if (options_.budget) options_.budget->deposit();
    end(retry_outcome::succeeded);
}

bool retry_loop::failed(std::exception_ptr failure, bool retryable, bool cancelled)
{
    failure_ = std::move(failure);
    stop_ = decide(retryable, cancelled);
    if (stop_ != retry_stop::none) {
        end(stop_ == retry_stop::cancelled ? retry_outcome::cancelled : retry_outcome::failed);
        return false;
    }
    const auto line = detail::first_line(failure_);
    constexpr int most_lines = 10; // a long history says no more than its beginning
    if (attempt_ <= most_lines) {
        history_.append("\n    attempt ").append(std::to_string(attempt_)).append(": ").append(line);
        history_.append("; then waited ").append(detail::text_of(delay_));
    } else if (attempt_ == most_lines + 1) {
        history_.append("\n    and so on");
    }
    if (options_.observer) {
        const auto code = detail::sqlstate_of(failure_);
        options_.observer->on_retry({.name = options_.operation.empty() ? policy_.name : options_.operation,
                                     .attempt = attempt_,
                                     .sqlstate = code,
                                     .why = line,
                                     .delay = delay_});
    }
    return true;
}

// The budget is asked last: a token must not be spent on a retry that something else forbids.
retry_stop retry_loop::decide(bool retryable, bool cancelled)
{
    if (cancelled || is_cancellation(failure_)) return retry_stop::cancelled;
    if (!retryable) return retry_stop::not_retryable;
    if (attempt_ >= policy_.max_attempts) return retry_stop::attempts;

    const auto now = time_.now();
    delay_ = policy_.backoff.delay(attempt_, delay_, detail::chance);
    if (const auto trial = trial_time(failure_)) {
        const duration open_for = *trial - now;
        if (open_for > std::max(delay_, policy_.backoff.ceiling())) return retry_stop::circuit;
        delay_ = std::max(delay_, open_for);
    }
    const duration elapsed = now - started_;
    if (elapsed > policy_.max_elapsed || delay_ > policy_.max_elapsed - elapsed) return retry_stop::elapsed;
    if (!options_.deadline.is_never() && delay_ >= options_.deadline.remaining(now))
        return retry_stop::deadline;
    if (options_.budget && !options_.budget->try_withdraw(now)) return retry_stop::budget;
    return retry_stop::none;
}

boost::asio::awaitable<void> retry_loop::wait()
{
    co_await time_.sleep_for(delay_);
    waited_ += delay_;
    ++attempt_;
}

void retry_loop::rethrow()
{
    const bool bounded = stop_ != retry_stop::not_retryable && stop_ != retry_stop::cancelled;
    if (attempt_ > 1 || (bounded && policy_.max_attempts > 1)) {
        try {
            std::rethrow_exception(failure_);
        } catch (error& e) {
            e.add_note(note());
            throw;
        } catch (...) {
            throw;
        }
    }
    std::rethrow_exception(failure_);
}

std::string retry_loop::note() const
{
    std::string text = "after " + std::to_string(attempt_) + (attempt_ == 1 ? " attempt" : " attempts") +
                       " in " + detail::text_of(time_.now() - started_) + " (" + std::string(policy_.name);
    if (!options_.operation.empty()) text.append(", ").append(options_.operation);
    return text.append("): ").append(to_string(stop_)).append(history_);
}

void retry_loop::end(retry_outcome outcome) noexcept
{
    ended_ = true;
    if (options_.statistics)
        options_.statistics->record(policy_.name, options_.operation, outcome, attempt_, waited_);
}

} // namespace pgcoro
