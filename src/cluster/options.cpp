#include <pgcoro/cluster/options.hpp>

#include <stdexcept>
#include <string>

namespace pgcoro
{

std::string_view to_string(read_policy p) noexcept
{
    switch (p) {
    case read_policy::round_robin:
        return "round_robin";
    case read_policy::least_in_use:
        return "least_in_use";
    case read_policy::lowest_latency:
        return "lowest_latency";
    case read_policy::two_choices:
        return "two_choices";
    }
    return "unknown";
}

void cluster_options::validate() const
{
    pool.validate();
    auto check = [](const char* name, std::chrono::milliseconds value, long least) {
        if (value.count() < least)
            throw std::invalid_argument(std::string("cluster_options.") + name + " is " +
                                        std::to_string(value.count()) + " ms and must be at least " +
                                        std::to_string(least) + " ms");
    };
    check("check_interval", check_interval, 1);
    check("recheck_interval", recheck_interval, 1);
    check("check_timeout", check_timeout, 1);
    check("failover_timeout", failover_timeout, 1);
    check("catch_up_timeout", catch_up_timeout, 0);
    check("drain_timeout", drain_timeout, 0);
    check("max_lag", max_lag, 0);
    if (max_lag.count() > 0 && max_lag < 2 * check_interval)
        throw std::invalid_argument(
            "cluster_options.max_lag is " + std::to_string(max_lag.count()) +
            " ms and must be 0 (no bound) or at least twice check_interval, which is " +
            std::to_string(check_interval.count()) + " ms: it cannot be known any better");
}

} // namespace pgcoro
