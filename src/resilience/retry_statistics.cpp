#include <pgcoro/resilience/retry_statistics.hpp>

#include <exception>

namespace pgcoro
{
namespace
{

void count(retry_counts& counts, retry_outcome outcome, int attempts, std::chrono::nanoseconds delay)
{
    ++counts.calls;
    counts.attempts += static_cast<std::uint64_t>(attempts);
    switch (outcome) {
    case retry_outcome::succeeded:
        ++counts.successes;
        break;
    case retry_outcome::failed:
        ++counts.failures;
        break;
    case retry_outcome::cancelled:
        ++counts.cancelled;
        break;
    }
    counts.total_delay += delay;
}

// The entry of that key, made when it is not there; only then is the key copied.
template <class Map>
auto& entry(Map& map, std::string_view key)
{
    auto it = map.find(key);
    if (it == map.end()) it = map.emplace(std::string(key), typename Map::mapped_type{}).first;
    return it->second;
}

} // namespace

double retry_counts::success_rate() const noexcept
{
    const auto ended = successes + failures;
    return ended == 0 ? 1 : static_cast<double>(successes) / static_cast<double>(ended);
}

std::chrono::nanoseconds retry_counts::average_delay() const noexcept
{
    if (retries() == 0) return {};
    return total_delay / static_cast<std::int64_t>(retries());
}

void retry_statistics::record(std::string_view name, std::string_view operation, retry_outcome outcome,
                              int attempts, std::chrono::nanoseconds delay) noexcept
{
    try {
        std::lock_guard lock(mutex_);
        auto& summary = entry(by_name_, name);
        auto* one = operation.empty() ? nullptr : &entry(summary.operations, operation);
        count(summary.total, outcome, attempts, delay);
        if (one) count(*one, outcome, attempts, delay);
    } catch (const std::exception&) {
        return; // a count is not worth failing the call that it is about
    }
}

std::map<std::string, retry_summary, std::less<>> retry_statistics::snapshot() const
{
    std::lock_guard lock(mutex_);
    return by_name_;
}

retry_summary retry_statistics::of(std::string_view name) const
{
    std::lock_guard lock(mutex_);
    auto it = by_name_.find(name);
    return it == by_name_.end() ? retry_summary{} : it->second;
}

} // namespace pgcoro
