#include "resilience/breaker_core.hpp"

#include <pgcoro/resilience/deadline.hpp>

namespace pgcoro::detail
{
namespace
{

bool reaches(int part, int whole, double rate) { return part > 0 && part >= rate * whole; }

} // namespace

breaker_core::breaker_core(const circuit_breaker_options& options)
    : options_(options)
    , window_(options.window)
{}

breaker_core::admission breaker_core::admit(time_point now)
{
    std::optional<state_change> change;
    if (state_ == breaker_state::open && now >= open_until_) change = go(breaker_state::half_open, now);
    const bool full = state_ == breaker_state::half_open && trials_ >= options_.half_open_calls;
    if (state_ == breaker_state::open || full) {
        ++rejected_;
        return {.allowed = false};
    }
    if (state_ == breaker_state::half_open) ++trials_;
    return {.allowed = true, .period = period_, .change = change};
}

std::optional<state_change> breaker_core::ended(std::uint64_t period, call_outcome outcome, duration took,
                                                time_point now)
{
    if (period != period_) return std::nullopt;
    const bool failed = outcome == call_outcome::failure;
    const bool slow = took >= options_.slow_call;
    switch (state_) {
    case breaker_state::closed:
        if (outcome == call_outcome::none) return std::nullopt;
        window_.add(failed, slow, now);
        return judge_window(now);
    case breaker_state::half_open:
        if (outcome == call_outcome::none) {
            --trials_;
            return std::nullopt;
        }
        trials_done_.add(failed, slow);
        return judge_trials(now);
    case breaker_state::open:
        break; // lets nothing through that could end
    }
    return std::nullopt;
}

breaker_status breaker_core::status(time_point now) const
{
    breaker_status s;
    s.state = state_;
    s.rejected = rejected_;
    s.opened = opened_;
    if (state_ == breaker_state::open) s.retry_at = open_until_;
    const auto counts = state_ == breaker_state::closed ? window_.counts(now) : trials_done_;
    s.calls = counts.calls;
    s.failures = counts.failures;
    s.slow = counts.slow;
    return s;
}

state_change breaker_core::go(breaker_state to, time_point now)
{
    const auto judged = state_ == breaker_state::closed ? window_.counts(now) : trials_done_;
    const state_change change{state_, to, judged};
    state_ = to;
    ++period_;
    window_.clear();
    trials_ = 0;
    trials_done_ = {};
    return change;
}

state_change breaker_core::open(time_point now)
{
    open_until_ = deadline::after(options_.open_for, now).time();
    ++opened_;
    return go(breaker_state::open, now);
}

std::optional<state_change> breaker_core::judge_window(time_point now)
{
    const auto counts = window_.counts(now);
    if (counts.calls < options_.min_calls) return std::nullopt;
    if (reaches(counts.failures, counts.calls, options_.failure_rate) ||
        reaches(counts.slow, counts.calls, options_.slow_call_rate))
        return open(now);
    return std::nullopt;
}

std::optional<state_change> breaker_core::judge_trials(time_point now)
{
    // Against all trials, done or not: what is enough already cannot be made good by the rest.
    if (reaches(trials_done_.failures, options_.half_open_calls, options_.failure_rate) ||
        reaches(trials_done_.slow, options_.half_open_calls, options_.slow_call_rate))
        return open(now);
    if (trials_done_.calls == options_.half_open_calls) return go(breaker_state::closed, now);
    return std::nullopt;
}

} // namespace pgcoro::detail
