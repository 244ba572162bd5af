#include "chaos.hpp"

#include <utility>

namespace transfers
{

namespace
{

constexpr std::chrono::milliseconds shortest_pause{100};
constexpr std::chrono::milliseconds longest_pause{500};

} // namespace

chaos::chaos(pgcoro::testing::server& server, std::string application, std::chrono::seconds duration)
    : server_(server)
    , kill_("select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = '" +
            application + "' order by random() limit ")
    , restart_at_(std::chrono::steady_clock::now() + duration / 2)
    , thread_([this](std::stop_token stopped) {
        try {
            run(std::move(stopped));
        } catch (...) {
            failure_ = std::current_exception();
        }
    })
{}

void chaos::stop()
{
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void chaos::run(std::stop_token stopped)
{
    std::mutex mutex;
    std::condition_variable_any never;
    std::uniform_int_distribution<std::chrono::milliseconds::rep> pause(shortest_pause.count(),
                                                                        longest_pause.count());
    for (;;) {
        {
            std::unique_lock lock(mutex); // for the wait alone, which ends at once when stop is asked for
            never.wait_for(lock, stopped, std::chrono::milliseconds(pause(rng_)), [] { return false; });
        }
        if (stopped.stop_requested()) return;
        if (restarts_ == 0 && std::chrono::steady_clock::now() >= restart_at_) {
            server_.restart();
            ++restarts_;
        } else {
            kill_some();
        }
    }
}

void chaos::kill_some()
{
    auto how_many = std::uniform_int_distribution<int>(1, 3)(rng_);
    killed_ += std::stoull(server_.psql(kill_ + std::to_string(how_many) + ") as victim"));
}

} // namespace transfers
