#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/alerts.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// One look at whether the database answers.
struct health_check
{
    bool healthy = false;
    double response_time = 0; ///< seconds: a connection from the pool, and a round trip on it
    std::string error;        ///< its first line; empty when healthy
};
BOOST_DESCRIBE_STRUCT(health_check, (), (healthy, response_time, error))

/// Takes a connection and has the server answer, within that time. Does not throw but for a cancellation, any
/// kind.
boost::asio::awaitable<health_check> check_health(pool& p, std::chrono::milliseconds within);

/// How it is, in a word.
enum class health_status { healthy, degraded, unhealthy };
BOOST_DESCRIBE_ENUM(health_status, healthy, degraded, unhealthy)

/// "healthy", "degraded", "unhealthy".
std::string_view to_string(health_status s) noexcept;

/// Something that is not as it should be.
struct finding
{
    std::string what;
    alert_severity severity = alert_severity::info;
    std::string evidence;       ///< the figures that say so
    std::string recommendation; ///< what to do about it
};
BOOST_DESCRIBE_STRUCT(finding, (), (what, severity, evidence, recommendation))

/// Score and status, with the reasons.
struct health_report
{
    health_status status = health_status::healthy;
    int score = 100;               ///< 100 is best, 0 is worst
    std::vector<finding> findings; ///< the most severe first
};
BOOST_DESCRIBE_STRUCT(health_report, (), (status, score, findings))

/// What a report is made of; what is null is not looked at.
struct health_inputs
{
    const health_check* check = nullptr;
    const metrics_snapshot* metrics = nullptr;
    const alerts* raised = nullptr;
    const server_view* server = nullptr;
};

/// Judges. A critical finding takes 40 from 100, a warning 15, an info 3, down to 0; a failed check makes it
/// 0. Healthy without warnings and critical findings; unhealthy with a failed check or below 50; else
/// degraded.
health_report assess(const health_inputs& in);

/// Asks a check for its result over and over, and speaks only when that has changed for good.
struct health_monitor_options
{
    std::chrono::nanoseconds interval =
        std::chrono::seconds(10);             ///< from the end of one to the next; above 0
    std::chrono::milliseconds timeout{5'000}; ///< of a check; at least 1 ms
    int failures = 3;                         ///< in a row, before it says "unhealthy"; 1 or more
    int successes = 1;                        ///< in a row, before it says "recovered"; 1 or more
    time_source* time = nullptr;              ///< null: time_source::steady()

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

/// A continuous look at the database, for a coroutine of its own:
/// `co_spawn(io, monitor.run(), detached)`; to end it, cancel that, any kind. It must outlive the coroutine.
class health_monitor
{
public:
    using check = std::function<boost::asio::awaitable<health_check>()>;
    /// `healthy`: it has recovered; else it failed so many times in a row.
    using announcement = std::function<void(bool healthy, const health_check& last, int in_a_row)>;

    /// Of a pool, which must outlive it. Throws what `options.validate()` throws.
    health_monitor(pool& p, announcement told, health_monitor_options options = {});
    /// Of whatever.
    health_monitor(check how, announcement told, health_monitor_options options = {});

    /// Checks until cancelled. An exception of the check is a failed one; one of `told` ends it.
    boost::asio::awaitable<void> run();

    /// What it said last; true before. From any thread, as last().
    bool healthy() const;
    /// The last check; not healthy, without an error, before the first.
    health_check last() const;

private:
    struct state;

    check check_;
    announcement told_;
    health_monitor_options options_;
    std::shared_ptr<state> state_;
};

/// The state of a pool as one line: "pool 'orders': 3 in use, 17 idle …".
std::string describe(const pool_stats& s, std::string_view pool_name);

/// Tells the pool's state to `sink` at once and then each `interval`, until cancelled (any kind) or until the
/// pool is gone: `co_spawn(io, log_stats(pool, [](std::string_view line) { … }), detached)`.
/// An exception of `sink` ends it.
boost::asio::awaitable<void> log_stats(const pool& p, std::function<void(std::string_view line)> sink,
                                       std::chrono::nanoseconds interval = std::chrono::minutes(1),
                                       time_source* time = nullptr);

} // namespace pgcoro
