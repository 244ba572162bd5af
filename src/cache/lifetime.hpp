// How long a result is fresh.
#pragma once

#include <pgcoro/cache/options.hpp>

#include <cstdint>

namespace pgcoro::detail
{

struct asked_result
{
    std::uint64_t seen = 0;          // times the statement was asked for, by anyone
    std::chrono::nanoseconds took{}; // by this query
    bool changing = false;           // as time goes by
    bool empty = false;
};

struct lifetime
{
    std::chrono::nanoseconds ttl{}; // max(): no limit
    bool frequent = false;          // which of the adaptive rules applied
    bool slow = false;
    bool capped = false;
    bool raised = false;
};

// `wanted` by the call; 0: by the strategy.
lifetime lifetime_of(const cache_options& options, std::chrono::nanoseconds wanted, const asked_result& what);

} // namespace pgcoro::detail
