#include "resilience/text.hpp"

#include <pgcoro/resilience/retry_policy.hpp>

namespace pgcoro
{

using namespace std::chrono_literals;

void retry_policy::validate() const
{
    if (max_attempts < 1)
        detail::out_of_range("retry policy " + name, "max_attempts", "1 or more",
                             std::to_string(max_attempts));
    if (max_elapsed < 0ns)
        detail::out_of_range("retry policy " + name, "max_elapsed", "0 or more",
                             detail::text_of(max_elapsed));
}

retry_policy database_retry()
{
    return {.name = "database_retry", .max_attempts = 3, .backoff = backoff::exponential(100ms, 5s)};
}

retry_policy network_retry()
{
    return {.name = "network_retry", .max_attempts = 5, .backoff = backoff::exponential(1s, 30s)};
}

retry_policy lock_retry()
{
    return {.name = "lock_retry", .max_attempts = 4, .backoff = backoff::list({500ms, 1s, 2s})};
}

retry_policy local_retry()
{
    return {.name = "local_retry", .max_attempts = 3, .backoff = backoff::linear(100ms, 1s)};
}

} // namespace pgcoro
