// One instance: its connections, and the breaker before it.
#pragma once

#include "cache/redis/link.hpp"
#include "connection/one_shot.hpp"

#include <boost/asio/strand.hpp>

#include <deque>
#include <mutex>

namespace pgcoro::detail
{

namespace asio = boost::asio;

class redis_server : public std::enable_shared_from_this<redis_server>
{
public:
    redis_server(const asio::any_io_executor& executor, const redis_options& options, redis_instance there);

    // Nothing when it failed, or was not even tried; that is counted. No longer than `timeout`.
    asio::awaitable<std::optional<redis_reply>> call(std::string command);

    // Runs `change(stats)` with the lock held.
    template <class Change>
    void count(Change change)
    {
        std::lock_guard lock(mutex_);
        change(stats_);
    }
    redis_instance_stats stats() const;

private:
    using time_point = std::chrono::steady_clock::time_point;

    struct work
    {
        std::string command;
        time_point until;
        std::optional<circuit_breaker::permit> allowed;
        std::shared_ptr<one_shot> done = std::make_shared<one_shot>();
        std::optional<redis_reply> reply; // set before `done` is told
    };
    class held_place;

    static asio::awaitable<void> carry_out(std::shared_ptr<redis_server> self, std::shared_ptr<work> w);
    asio::awaitable<redis_reply> try_it(const work& w);
    asio::awaitable<redis_reply> exchange(const std::shared_ptr<redis_link>& link, const work& w,
                                          bool connect);
    asio::awaitable<void> take_place(time_point until);
    void failed(const std::exception_ptr& failure);

    const redis_options options_;
    const redis_instance there_;
    circuit_breaker breaker_;
    asio::strand<asio::any_io_executor> strand_;

    // Used on the strand only.
    std::vector<std::shared_ptr<redis_link>> idle_;
    std::size_t used_ = 0;
    std::deque<std::shared_ptr<one_shot>> waiting_;

    mutable std::mutex mutex_; // of what is below
    redis_instance_stats stats_;
};

} // namespace pgcoro::detail
