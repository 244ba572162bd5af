#pragma once

#include <pgcoro/export.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <initializer_list>

namespace PGCORO_API pgcoro
{

/// How chance spreads a delay, so that callers that failed together do not come back together.
///
/// Source of the formulas: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
/// There, d is the delay that the curve gives for the attempt:
enum class jitter {
    none,         ///< d
    full,         ///< between 0 and d
    equal,        ///< between d / 2 and d
    decorrelated, ///< between the first delay and 3 × the previous one, at most the ceiling; the curve has no
                  ///< say
};

/// How long to wait before an attempt is made again: a curve over the attempts, and a jitter on it.
/// No delay is above ceiling(), whatever the attempt's number. A plain value, to be used from any thread.
///
/// The makers throw `std::invalid_argument`, naming the field and its range: delays must not be negative, a
/// first delay not above the ceiling, a factor finite and in the range told.
class backoff
{
public:
    using duration = std::chrono::nanoseconds;

    /// first × factor^(attempt − 1), at most `ceiling`. `factor` is 1 or more.
    static backoff exponential(duration first, duration ceiling, jitter j = jitter::full, double factor = 2);

    /// first × (1 + factor × (attempt − 1)), at most `ceiling`. `factor` is 0 or more.
    static backoff linear(duration first, duration ceiling, jitter j = jitter::full, double factor = 1);

    /// The same each time. With decorrelated jitter the ceiling is 3 × `delay`, else `delay`.
    static backoff fixed(duration delay, jitter j = jitter::none);

    /// Anything between the two, each time anew; a jitter other than none then applies to what was drawn.
    static backoff random(duration least, duration most, jitter j = jitter::none);

    /// These delays, in their order; the last one repeats. The ceiling is the largest. One to 12 of them.
    static backoff list(std::initializer_list<duration> delays, jitter j = jitter::none);

    /// The delay after the failure of attempt number `attempt`, counted from 1 (less counts as 1).
    /// `previous` is the delay before that attempt, zero for the first; only decorrelated jitter asks for it.
    /// `draw()` gives a number from 0 to below 1, each time anew, evenly spread.
    template <class Draw>
    duration delay(int attempt, duration previous, Draw&& draw) const
    {
        // Always two draws, so that a seeded generator stays in step whatever the curve.
        const double on_curve = draw();
        const double on_jitter = draw();
        return spread(attempt, previous, on_curve, on_jitter);
    }

    /// The delay that the curve gives for the attempt, before jitter; for random() the most that it can be.
    duration curve(int attempt) const noexcept;

    /// The most that a delay can be.
    duration ceiling() const noexcept { return ceiling_; }

private:
    enum class shape { exponential, linear, random, list };

    backoff(shape s, duration first, duration ceiling, double factor, jitter j) noexcept;

    duration spread(int attempt, duration previous, double on_curve, double on_jitter) const noexcept;

    shape shape_;
    jitter jitter_;
    duration first_;
    duration ceiling_;
    double factor_;
    // Held in place, so that options with a backoff are trivially destructible: see retry_options::operation.
    std::array<duration, 12> delays_{};
    std::size_t count_ = 0;
};

} // namespace pgcoro
