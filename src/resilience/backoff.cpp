#include "resilience/text.hpp"

#include <pgcoro/resilience/backoff.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace pgcoro
{
namespace
{

using duration = backoff::duration;

double number(duration d) { return static_cast<double>(d.count()); }

// Rounded down, and never above the limit, however large the number is.
duration at_most(duration limit, double nanoseconds)
{
    if (!(nanoseconds < number(limit))) return limit;
    return std::min(limit, duration(static_cast<duration::rep>(nanoseconds)));
}

duration between(duration least, duration most, double chance)
{
    return std::max(least, at_most(most, number(least) + (number(most) - number(least)) * chance));
}

void check_not_negative(const char* field, duration value)
{
    if (value < duration::zero()) detail::out_of_range("backoff", field, "0 or more", detail::text_of(value));
}

void check_ordered(const char* field, duration least, duration most)
{
    check_not_negative(field, least);
    if (most < least)
        detail::out_of_range("backoff", field, "at most the ceiling of " + detail::text_of(most),
                             detail::text_of(least));
}

void check_factor(double factor, double least)
{
    if (!(factor >= least && factor <= std::numeric_limits<double>::max()))
        detail::out_of_range("backoff", "factor", "finite and at least " + detail::text_of(least),
                             detail::text_of(factor));
}

} // namespace

backoff::backoff(shape s, duration first, duration ceiling, double factor, jitter j) noexcept
    : shape_(s)
    , jitter_(j)
    , first_(first)
    , ceiling_(ceiling)
    , factor_(factor)
{}

backoff backoff::exponential(duration first, duration ceiling, jitter j, double factor)
{
    check_ordered("first delay", first, ceiling);
    check_factor(factor, 1);
    return {shape::exponential, first, ceiling, factor, j};
}

backoff backoff::linear(duration first, duration ceiling, jitter j, double factor)
{
    check_ordered("first delay", first, ceiling);
    check_factor(factor, 0);
    return {shape::linear, first, ceiling, factor, j};
}

backoff backoff::fixed(duration delay, jitter j)
{
    check_not_negative("delay", delay);
    const auto ceiling = j == jitter::decorrelated ? at_most(duration::max(), 3 * number(delay)) : delay;
    return {shape::linear, delay, ceiling, 0, j};
}

backoff backoff::random(duration least, duration most, jitter j)
{
    check_ordered("least delay", least, most);
    return {shape::random, least, most, 1, j};
}

backoff backoff::list(std::initializer_list<duration> delays, jitter j)
{
    constexpr auto most = std::tuple_size_v<decltype(delays_)>;
    if (delays.size() == 0 || delays.size() > most)
        detail::out_of_range("backoff", "list of delays", "one to " + std::to_string(most) + " long",
                             std::to_string(delays.size()));
    for (auto delay : delays) check_not_negative("delay in the list", delay);
    backoff made(shape::list, *delays.begin(), std::max(delays), 1, j);
    std::ranges::copy(delays, made.delays_.begin());
    made.count_ = delays.size();
    return made;
}

duration backoff::curve(int attempt) const noexcept
{
    const int before = std::max(attempt, 1) - 1;
    switch (shape_) {
    case shape::exponential:
        if (first_ == duration::zero()) return first_; // zero times an infinite power is no number
        return at_most(ceiling_, number(first_) * std::pow(factor_, before));
    case shape::linear:
        return at_most(ceiling_, number(first_) * (1 + factor_ * before));
    case shape::list:
        return delays_[std::min(static_cast<std::size_t>(before), count_ - 1)];
    case shape::random:
        break;
    }
    return ceiling_;
}

duration backoff::spread(int attempt, duration previous, double on_curve, double on_jitter) const noexcept
{
    const auto d = shape_ == shape::random ? between(first_, ceiling_, on_curve) : curve(attempt);
    switch (jitter_) {
    case jitter::none:
        return d;
    case jitter::full:
        return between(duration::zero(), d, on_jitter);
    case jitter::equal:
        return between(d / 2, d, on_jitter);
    case jitter::decorrelated:
        break;
    }
    // Brooker: sleep = min(cap, random_between(base, sleep × 3)), where the first sleep is base.
    const auto most = 3 * number(previous > duration::zero() ? previous : first_);
    const double drawn = number(first_) + std::max(0.0, most - number(first_)) * on_jitter;
    return std::max(first_, at_most(ceiling_, drawn)); // a double may round a huge one down
}

} // namespace pgcoro
