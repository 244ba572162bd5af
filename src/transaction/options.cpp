#include <pgcoro/transaction/options.hpp>

#include <stdexcept>
#include <string>

namespace pgcoro
{

transaction_metrics& transaction_metrics::operator+=(const transaction_metrics& other) noexcept
{
    attempts += other.attempts;
    committed += other.committed;
    serialization_failures += other.serialization_failures;
    deadlocks += other.deadlocks;
    connections_lost += other.connections_lost;
    other_failures += other.other_failures;
    retries += other.retries;
    commits_resolved += other.commits_resolved;
    waiting += other.waiting;
    total += other.total;
    return *this;
}

retry_policy transaction_retry()
{
    retry_policy policy;
    policy.name = "transaction";
    policy.max_attempts = 100;
    policy.backoff =
        backoff::exponential(std::chrono::milliseconds(20), std::chrono::milliseconds(100), jitter::full);
    return policy;
}

void transaction_options::validate() const
{
    auto not_negative = [](const char* option, std::chrono::milliseconds value, const char* none) {
        if (value.count() < 0)
            throw std::invalid_argument("transaction_options." + std::string(option) + " is " +
                                        std::to_string(value.count()) + " ms and must be 0 ms (" + none +
                                        ") or more");
    };
    not_negative("timeout", timeout, "no limit");
    not_negative("report_after", report_after, "what the pool says");
    if (deferrable && !(read_only && isolation == isolation::serializable))
        throw std::invalid_argument(
            "transaction_options.deferrable is set and has an effect only together with "
            "read_only and isolation serializable");
    retry.validate();
}

} // namespace pgcoro
