#pragma once

#include "connection/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace pgcoro::detail
{

// Which hosts did not answer within connect_timeout, so that later connects try the others first and do not
// wait out that time again. Remembers a bounded number of hosts, each for a while.
class mute_host_memory
{
public:
    static constexpr std::chrono::seconds remembered_for{30};
    static constexpr std::size_t most = 1'000;

    void timed_out(const std::string& host, clock::time_point now)
    {
        std::erase_if(hosts_, [&](auto& h) { return is_over(h.second, now); });
        if (hosts_.size() >= most) {
            auto at = [](auto& h) { return h.second; };
            hosts_.erase(std::ranges::min_element(hosts_, {}, at));
        }
        hosts_[host] = now;
    }
    void answered(const std::string& host) { hosts_.erase(host); }
    bool is_mute(const std::string& host, clock::time_point now) const
    {
        auto it = hosts_.find(host);
        return it != hosts_.end() && !is_over(it->second, now);
    }

private:
    static bool is_over(clock::time_point since, clock::time_point now)
    {
        return now - since >= remembered_for;
    }

    std::map<std::string, clock::time_point> hosts_;
};

// The memory that all connects of this process share. From any thread.
class mute_hosts
{
public:
    static mute_hosts& of_the_process()
    {
        static auto& only = *new mute_hosts; // used by threads that may outlive main()
        return only;
    }

    void timed_out(const std::string& host)
    {
        std::lock_guard lock(mutex_);
        memory_.timed_out(host, clock::now());
    }
    void answered(const std::string& host)
    {
        std::lock_guard lock(mutex_);
        memory_.answered(host);
    }

    // Moves the mute ones behind the others, and leaves the order as it is otherwise.
    template <class Places, class Name>
    void put_last(Places& places, Name name)
    {
        if (places.size() < 2) return;
        std::lock_guard lock(mutex_);
        auto now = clock::now();
        std::ranges::stable_partition(places,
                                      [&](auto& p) { return !memory_.is_mute(std::invoke(name, p), now); });
    }

private:
    std::mutex mutex_;
    mute_host_memory memory_;
};

} // namespace pgcoro::detail
