#pragma once

#include <pgcoro/export.hpp>

#include <chrono>
#include <cstddef>

namespace PGCORO_API pgcoro
{

/// The options of a multiplexer.
struct multiplexer_options
{
    /// The number of the pool's connections that it uses at once, exclusive statements not counted. 1 to
    /// 1,000. Few are best: the fewer, the more statements share a round trip.
    std::size_t connections = 4;

    /// The largest number of statements in a batch. 1 to 10,000. Their answers come together, too.
    std::size_t max_batch = 100;

    /// The largest number of statements that wait to be sent. The next one is refused at once with
    /// `pool_timeout`. At least 1.
    std::size_t max_waiting = 100'000;

    /// How long a caller waits from its call to the answer before it gets `deadline_exceeded`, which may come
    /// up to 10 ms late. 0, or a duration too long to count: only the server's `statement_timeout` limits it.
    std::chrono::milliseconds timeout{30'000};

    /// A statement that takes longer than this by itself becomes exclusive: it gets a separate lease, so that
    /// no other statement waits behind it. It travels with others again once it was quicker. At least 1 ms.
    std::chrono::milliseconds slow_after{100};

    /// Throws `std::invalid_argument` if an option is out of its range. The message names the option, its
    /// value and its range.
    void validate() const;
};

} // namespace pgcoro
