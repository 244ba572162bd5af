#pragma once

#include "resilience/breaker_window.hpp"

#include <pgcoro/resilience/circuit_breaker.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace pgcoro::detail
{

/// How a call that a breaker let through ended.
enum class call_outcome {
    success,
    failure,
    none, ///< it says nothing: the permit is given back
};

struct state_change
{
    breaker_state from;
    breaker_state to;
    call_counts judged; ///< the calls that the change rests on; none for the end of the open time
};

/// The state machine of a circuit breaker, without lock, clock or calls: told what happens and when, it
/// answers what is allowed and which state it went to.
///
/// A period is the time between two changes of state. A call belongs to the period in which it was let
/// through: one that ends in a later period says nothing of that one and is not counted.
class breaker_core
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using duration = std::chrono::nanoseconds;

    explicit breaker_core(const circuit_breaker_options& options);

    struct admission
    {
        bool allowed;
        std::uint64_t period = 0; ///< to be handed back with the outcome
        std::optional<state_change> change = {};
    };

    /// May a call be made now?
    admission admit(time_point now);

    /// A call that was admitted ended, after it had taken that long.
    std::optional<state_change> ended(std::uint64_t period, call_outcome outcome, duration took,
                                      time_point now);

    breaker_status status(time_point now) const;

private:
    state_change go(breaker_state to, time_point now);
    std::optional<state_change> judge_window(time_point now);
    std::optional<state_change> judge_trials(time_point now);
    state_change open(time_point now);

    const circuit_breaker_options& options_;
    breaker_window window_;
    breaker_state state_ = breaker_state::closed;
    std::uint64_t period_ = 0;
    time_point open_until_{};
    int trials_ = 0;          // let through in half-open, done or not
    call_counts trials_done_; // of these
    std::uint64_t rejected_ = 0;
    std::uint64_t opened_ = 0;
};

} // namespace pgcoro::detail
