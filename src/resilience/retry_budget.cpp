#include "resilience/text.hpp"

#include <pgcoro/resilience/retry_budget.hpp>

#include <algorithm>
#include <cmath>

namespace pgcoro
{

void retry_budget_options::validate() const
{
    auto check = [](const char* field, double value, double least) {
        if (!std::isfinite(value) || value < least)
            detail::out_of_range("retry budget", field, "finite and at least " + detail::text_of(least),
                                 detail::text_of(value));
    };
    check("ratio", ratio, 0);
    check("min_per_second", min_per_second, 0);
    check("capacity", capacity, 1);
}

retry_budget::retry_budget(retry_budget_options options, time_point now)
    : options_((options.validate(), options))
    , tokens_(options.capacity)
    , refilled_at_(now)
{}

void retry_budget::deposit() noexcept
{
    std::lock_guard lock(mutex_);
    tokens_ = std::min(options_.capacity, tokens_ + options_.ratio);
}

bool retry_budget::try_withdraw(time_point now) noexcept
{
    std::lock_guard lock(mutex_);
    refill(now);
    // Ten deposits of 0.1 sum to a hair less than 1.
    constexpr double hair = 1e-9;
    if (tokens_ + hair < 1) return false;
    tokens_ = std::max(0.0, tokens_ - 1);
    return true;
}

double retry_budget::available(time_point now) noexcept
{
    std::lock_guard lock(mutex_);
    refill(now);
    return tokens_;
}

void retry_budget::refill(time_point now) noexcept
{
    if (now <= refilled_at_) return;
    const std::chrono::duration<double> passed = now - refilled_at_;
    refilled_at_ = now;
    tokens_ = std::min(options_.capacity, tokens_ + passed.count() * options_.min_per_second);
}

} // namespace pgcoro
