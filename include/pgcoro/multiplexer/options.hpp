#pragma once

#include <pgcoro/export.hpp>

#include <chrono>
#include <cstddef>

namespace PGCORO_API pgcoro
{

/// How a multiplexer behaves.
struct multiplexer_options
{
    /// How many of the pool's connections it uses at once, at most. 1 to 1,000. Few are best: the fewer, the
    /// more statements share a round trip.
    std::size_t connections = 4;

    /// How many statements travel together at most. 1 to 10,000. Their answers come together, too.
    std::size_t max_batch = 100;

    /// How many callers may wait to be sent; who comes then is refused at once with `pool_timeout`. At least
    /// 1.
    std::size_t max_waiting = 100'000;

    /// How long a caller waits, from asking to the answer, before it gets `deadline_exceeded`; noticed up to
    /// 10 ms late. 0: without a limit but the server's `statement_timeout`.
    std::chrono::milliseconds timeout{30'000};

    /// A statement that takes longer than this alone gets a connection of its own from then on, so that the
    /// others are not kept waiting behind it; until it is seen to be quicker again. At least 1 ms.
    std::chrono::milliseconds slow_after{100};

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

} // namespace pgcoro
