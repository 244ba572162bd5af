#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/figures.hpp>
#include <pgcoro/observe/server_view.hpp>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/json/value_from.hpp>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// What happened in one interval, a minute as a rule, and how things stood at its end. Times in seconds,
/// shares from 0 to 1, rates a second. What nothing is known of is NaN, null in JSON.
struct sample
{
    double time = 0;   ///< its end, since 1970
    double length = 0; ///< seconds

    double queries = 0;
    double query_rate = 0;
    double errors = 0;
    double error_rate = 0;
    double slow_rate = 0;
    double avg = 0;
    double p50 = 0;
    double p95 = 0;
    double p99 = 0;
    double max = 0;

    double connections_in_use = 0;
    double connections_idle = 0;
    double connections_overflow = 0;
    double connections_waiting = 0;
    double utilization = 0; ///< of all pools' size + max_overflow
    double acquires = 0;
    double acquire_timeouts = 0;
    double acquire_wait_p95 = 0;
    double connection_use_avg = 0; ///< how long a lease was held

    double transactions_active = 0;
    double committed = 0;
    double rolled_back = 0;
    double retries = 0;
    double deadlocks = 0;

    double availability = 0; ///< of statements and acquires that a server could be had for; NaN for none
    double breakers_open = 0;
    double replicas_unusable = 0;     ///< that serve no reads for another reason than their lag
    double cache_hit_ratio = 0;       ///< of the cache in front of the server
    double buffer_hit_ratio = 0;      ///< of the server's buffers
    double longest_lock_wait = 0;     ///< by the server's view
    double server_connection_use = 0; ///< by the server's view: of max_connections
};
BOOST_DESCRIBE_STRUCT(sample, (),
                      (time, length, queries, query_rate, errors, error_rate, slow_rate, avg, p50, p95, p99,
                       max, connections_in_use, connections_idle, connections_overflow, connections_waiting,
                       utilization, acquires, acquire_timeouts, acquire_wait_p95, connection_use_avg,
                       transactions_active, committed, rolled_back, retries, deadlocks, availability,
                       breakers_open, replicas_unusable, cache_hit_ratio, buffer_hit_ratio, longest_lock_wait,
                       server_connection_use))

/// As JSON, with null for NaN; for boost::json::value_from.
void tag_invoke(boost::json::value_from_tag, boost::json::value& to, const sample& from);

/// What happened between two snapshots; from its beginning when `before` is null. The server's part is
/// unknown without its view.
sample make_sample(const metrics_snapshot* before, const metrics_snapshot& now,
                   const server_view* server = nullptr);

/// A figure of a sample, such as `&sample::p95`.
using sample_figure = double sample::*;

/// The figure of that name ("p95"); null for none.
sample_figure figure_named(std::string_view name) noexcept;

/// Where a figure goes.
enum class trend_direction { unknown, falling, steady, rising };
BOOST_DESCRIBE_ENUM(trend_direction, unknown, falling, steady, rising)

/// "unknown", "falling", "steady", "rising".
std::string_view to_string(trend_direction d) noexcept;

/// Where a figure is going: the line through its values that least squares find.
struct trend
{
    trend_direction going = trend_direction::unknown; ///< unknown with less than 3 values
    std::size_t values = 0;
    double first = 0; ///< on the line, at its beginning
    double last = 0;  ///< and at its end
    double slope = 0; ///< an hour
    double fit = 0;   ///< R², the share of the variance that the line explains
};
BOOST_DESCRIBE_STRUCT(trend, (), (going, values, first, last, slope, fit))

/// The samples of the last day, or as many as there is room for; the oldest goes first. Thread-safe.
///
/// Memory: `capacity` times `sizeof(sample)`, all of it from the start: 360 KiB for 1,440 samples.
class history
{
public:
    explicit history(std::size_t capacity = 24 * 60);

    /// A sample no newer than the last one takes its place.
    void add(const sample& s);

    /// Those that ended after `from` and not after `to`, times since 1970, oldest first. With a `step` those
    /// of each so many seconds are made one: counts are added, shares and averages weighted by what they
    /// are of, percentiles and greatest values the greatest, levels averaged.
    std::vector<sample> between(double from, double to, double step = 0) const;
    std::vector<sample> all() const;
    std::optional<sample> last() const;
    std::size_t size() const;
    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t memory() const noexcept { return capacity_ * sizeof(sample); }

    /// Over the last `seconds` of what there is. Falling or rising when the line explains a quarter of the
    /// variance or more, and goes by more than a tenth of its mean height.
    trend trend_of(sample_figure figure, double seconds = 3'600) const;

private:
    const std::size_t capacity_;
    mutable std::mutex mutex_;
    std::vector<sample> ring_; // once full, next_ is the oldest
    std::size_t next_ = 0;
};

} // namespace pgcoro
