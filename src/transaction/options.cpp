#include <pgcoro/transaction/options.hpp>

#include <stdexcept>

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
    policy.max_attempts = 10;
    policy.backoff =
        backoff::exponential(std::chrono::milliseconds(5), std::chrono::seconds(1), jitter::full);
    return policy;
}

void transaction_options::validate() const
{
    if (timeout.count() < 0)
        throw std::invalid_argument("transaction_options.timeout is " + std::to_string(timeout.count()) +
                                    " ms and must be 0 ms (no limit) or more");
    if (deferrable && !(read_only && isolation == isolation::serializable))
        throw std::invalid_argument(
            "transaction_options.deferrable is set and has an effect only together with "
            "read_only and isolation serializable");
    retry.validate();
}

} // namespace pgcoro
