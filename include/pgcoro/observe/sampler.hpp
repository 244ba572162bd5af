#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/alerts.hpp>
#include <pgcoro/observe/history.hpp>
#include <pgcoro/observe/metrics.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace PGCORO_API pgcoro
{

/// What keeps a history going.
struct sampler_options
{
    std::chrono::nanoseconds interval = std::chrono::minutes(1); ///< above 0

    /// Asked for a connection for each sample, to inspect the server on; null: samples know nothing of the
    /// server's side. A look that fails is left out. Must outlive the coroutine.
    pool* inspected = nullptr;
    std::chrono::milliseconds inspect_within{5'000}; ///< for the connection of that look; at least 1 ms

    time_source* time = nullptr; ///< null: time_source::steady()
};

/// Makes samples of `metrics`, puts them into a history, and has alerts look at them:
/// `co_spawn(io, sampler.run(), detached)`; to end it, cancel that, any kind. What it refers to must outlive
/// it, and it the coroutine.
class sampler
{
public:
    /// `a` may be null.
    sampler(const metrics& m, history& h, alerts* a = nullptr, sampler_options options = {});

    /// A sample each interval, until cancelled.
    boost::asio::awaitable<void> run();

    /// A sample now, since the last one. One call at a time.
    boost::asio::awaitable<sample> take();

    /// The server's view of the last sample; null before, and without `inspected`. From any thread.
    std::shared_ptr<const server_view> server() const;

private:
    const metrics& metrics_;
    history& history_;
    alerts* alerts_;
    sampler_options options_;
    std::optional<metrics_snapshot> last_;
    mutable std::mutex mutex_;
    std::shared_ptr<const server_view> server_;
};

} // namespace pgcoro
