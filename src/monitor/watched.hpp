// What the monitor knows of its sources, made no more often than `monitor_options::interval` for those who
// ask often. From any thread.
#pragma once

#include "connection/clock.hpp"
#include "monitor/answer.hpp"
#include "monitor/figures.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace pgcoro::detail
{

class watched
{
public:
    watched(const monitor_sources& sources, const monitor_options& options)
        : sources_(sources)
        , options_(options)
    {}

    // Answers all but the events. Throws `problem`.
    boost::asio::awaitable<answer> ask(const api_call& c);

    // The page's figures as JSON.
    std::shared_ptr<const std::string> dashboard();

private:
    bool fresh(clock::time_point made) const { return clock::now() - made < options_.interval; }
    answer figures(const api_call& c);
    boost::asio::awaitable<std::optional<health_check>> check();
    boost::asio::awaitable<answer> health(resource what);
    boost::asio::awaitable<void> look_at_tables(std::vector<needed_table>& tables, health_report& report);
    health_report judge(const metrics_snapshot& m, const health_check* checked) const;
    answer invalidate(const api_call& c);

    const monitor_sources sources_;
    const monitor_options& options_;
    std::mutex mutex_;
    std::shared_ptr<const std::string> dashboard_;
    clock::time_point dashboard_made_;
    std::optional<health_check> checked_;
    clock::time_point checked_at_;
    bool checking_ = false;
};

} // namespace pgcoro::detail
