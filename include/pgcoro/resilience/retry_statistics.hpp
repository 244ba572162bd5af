#pragma once

#include <pgcoro/export.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// How a retried call ended.
enum class retry_outcome {
    succeeded,
    failed,    ///< its last error reached the caller
    cancelled, ///< cancelled, or given up by its caller, while an attempt or a delay was under way
};

/// What became of retried calls.
struct retry_counts
{
    std::uint64_t calls = 0;
    std::uint64_t attempts = 0; ///< of all calls, the first ones included
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
    std::uint64_t cancelled = 0;
    std::chrono::nanoseconds total_delay{}; ///< waited before retries

    /// Calls that succeeded, at the first attempt or a later one, of those that succeeded or failed; 0 to 1,
    /// and 1 when there were none.
    double success_rate() const noexcept;

    /// Attempts that were not their call's first.
    std::uint64_t retries() const noexcept { return attempts - calls; }

    /// The mean of the delays before a retry; zero when there was none.
    std::chrono::nanoseconds average_delay() const noexcept;
};

/// The counts of one policy's name.
struct retry_summary
{
    retry_counts total;
    /// The same by operation; calls that named none count in `total` only.
    std::map<std::string, retry_counts, std::less<>> operations;
};

/// Counts what became of retried calls, by the policy's name and by operation. Thread-safe. One entry is kept
/// for each name and operation: name kinds of work, not single calls.
class retry_statistics
{
public:
    /// A call ended so, after so many attempts (1 or more) and so much waiting between them. What there is no
    /// memory for is not counted.
    void record(std::string_view name, std::string_view operation, retry_outcome outcome, int attempts,
                std::chrono::nanoseconds delay) noexcept;

    /// All counts by name, as they are now.
    std::map<std::string, retry_summary, std::less<>> snapshot() const;

    /// The counts of one name; all zero when nothing was recorded for it.
    retry_summary of(std::string_view name) const;

private:
    mutable std::mutex mutex_;
    std::map<std::string, retry_summary, std::less<>> by_name_;
};

} // namespace pgcoro
