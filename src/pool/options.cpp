#include <pgcoro/pool/options.hpp>

#include <stdexcept>
#include <string>

namespace pgcoro
{

void pool_options::validate() const
{
    connection.validate();
    auto refuse = [](const char* option, const std::string& value, const std::string& range) {
        throw std::invalid_argument("pool_options." + std::string(option) + " is " + value + " and must be " +
                                    range);
    };
    constexpr std::size_t most = 10'000;
    auto count = [&](const char* option, std::size_t value, std::size_t least) {
        if (value < least || value > most)
            refuse(option, std::to_string(value), std::to_string(least) + " to " + std::to_string(most));
    };
    auto time = [&](const char* option, std::chrono::milliseconds value,
                    std::chrono::milliseconds::rep least) {
        constexpr std::chrono::milliseconds longest = std::chrono::hours(24 * 365);
        if (value.count() < least || value > longest)
            refuse(option, std::to_string(value.count()) + " ms", std::to_string(least) + " ms to one year");
    };
    count("size", size, 1);
    count("max_overflow", max_overflow, 0);
    count("max_connecting", max_connecting, 1);
    time("overflow_linger", overflow_linger, 0);
    time("acquire_timeout", acquire_timeout, 1);
    time("recycle_after", recycle_after, 0);
    time("idle_timeout", idle_timeout, 0);
    time("alive_bypass", alive_bypass, 0);
    time("ping_after", ping_after, 0);
    time("ping_timeout", ping_timeout, 1);
    time("keepalive", keepalive, 0);
    time("cleanup_timeout", cleanup_timeout, 1);
    time("leak_threshold", leak_threshold, 0);
    time("report_transactions_after", report_transactions_after, 0);
    retry_budget.validate();
    if (reset == reset_mode::always && connection.pooler == pooler_mode::transaction)
        refuse("reset", "always", "automatic or never where connection_options.pooler is transaction");
    if (!(recycle_jitter >= 0 && recycle_jitter <= 1))
        refuse("recycle_jitter", std::to_string(recycle_jitter), "0 to 1");
}

} // namespace pgcoro
