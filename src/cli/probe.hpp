/// What several commands measure: connects and round trips.
#pragma once

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/observe/histogram.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace pgcoro::cli
{

inline double in_ms(std::chrono::nanoseconds time)
{
    return std::chrono::duration<double, std::milli>(time).count();
}

/// Probes that were made, and those that were answered.
struct probes
{
    int made = 0;
    int answered = 0;
    histogram times; ///< of the answered ones
};

/// Asks `select 1` so many times through the breaker, one after the other, as long as it is closed.
boost::asio::awaitable<void> round_trips(connection& c, int count, circuit_breaker& breaker, probes& into);

} // namespace pgcoro::cli
