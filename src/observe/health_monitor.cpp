// Coroutines that look again and again.
#include <pgcoro/observe/health.hpp>

#include <pgcoro/resilience/failure.hpp>

#include "resilience/text.hpp"

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

struct health_monitor::state
{
    mutable std::mutex mutex;
    health_check last;
    bool healthy = true;
};

void health_monitor_options::validate() const
{
    auto refuse = [](const char* option, auto value, const char* range) {
        throw std::invalid_argument(std::string("pgcoro: health_monitor_options::") + option + " is " +
                                    std::to_string(value) + ": it must be " + range);
    };
    if (interval.count() <= 0) refuse("interval", interval.count(), "above 0");
    if (timeout.count() < 1) refuse("timeout", timeout.count(), "1 ms or more");
    if (failures < 1) refuse("failures", failures, "1 or more");
    if (successes < 1) refuse("successes", successes, "1 or more");
}

health_monitor::health_monitor(pool& p, announcement told, health_monitor_options options)
    : health_monitor([&p, within = options.timeout] { return check_health(p, within); }, std::move(told),
                     options)
{}

health_monitor::health_monitor(check how, announcement told, health_monitor_options options)
    : check_(std::move(how))
    , told_(std::move(told))
    , options_((options.validate(), options))
    , state_(std::make_shared<state>())
{}

asio::awaitable<void> health_monitor::run()
{
    auto& time = options_.time ? *options_.time : time_source::steady();
    int in_a_row = 0;
    bool before = true; // the last check's
    for (;;) {
        health_check found;
        std::exception_ptr failure;
        try {
            found = co_await check_();
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            if (is_cancellation(failure)) std::rethrow_exception(failure);
            found = {false, 0, detail::first_line(failure)};
        }
        in_a_row = found.healthy == before ? in_a_row + 1 : 1;
        before = found.healthy;
        bool speak = false;
        {
            std::lock_guard lock(state_->mutex);
            state_->last = found;
            auto needed = found.healthy ? options_.successes : options_.failures;
            speak = found.healthy != state_->healthy && in_a_row >= needed;
            if (speak) state_->healthy = found.healthy;
        }
        if (speak && told_) told_(found.healthy, found, in_a_row);
        co_await time.sleep_for(options_.interval);
    }
}

bool health_monitor::healthy() const
{
    std::lock_guard lock(state_->mutex);
    return state_->healthy;
}

health_check health_monitor::last() const
{
    std::lock_guard lock(state_->mutex);
    return state_->last;
}

std::string describe(const pool_stats& s, std::string_view pool_name)
{
    auto text = "pool '" + std::string(pool_name) + "': " + std::to_string(s.in_use) + " in use, " +
                std::to_string(s.idle) + " idle, " + std::to_string(s.connecting) + " connecting, " +
                std::to_string(s.cleaning) + " being cleaned, of at most " + std::to_string(s.capacity) +
                "; " + std::to_string(s.waiting) + " waiting; since the start " + std::to_string(s.acquired) +
                " acquired, " + std::to_string(s.queued) + " of them after a wait, " +
                std::to_string(s.acquire_failures) + " in vain, " + std::to_string(s.connects) +
                " connections opened, " + std::to_string(s.connect_failures) + " failed to, " +
                std::to_string(s.closes) + " closed";
    if (!s.last_connect_failure.empty()) text += "; the last connect failed: " + s.last_connect_failure;
    return text;
}

asio::awaitable<void> log_stats(const pool& p, std::function<void(std::string_view line)> sink,
                                std::chrono::nanoseconds interval, time_source* time)
{
    auto& clock = time ? *time : time_source::steady();
    auto probe = p.probe();
    auto name = p.options().name;
    while (auto now = probe()) {
        auto line = describe(*now, name);
        sink(line);
        now.reset();
        co_await clock.sleep_for(interval);
    }
}

} // namespace pgcoro
