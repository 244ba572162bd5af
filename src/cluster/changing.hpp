// The lock, and what follows from a change of roles: carried out in the destructor, after the lock.
#pragma once

#include "cluster/cluster_impl.hpp"

namespace pgcoro::detail
{

class cluster_impl::changing
{
public:
    explicit changing(cluster_impl& c)
        : cluster_(c)
        , lock_(c.mutex_)
    {}
    changing(const changing&) = delete;
    changing& operator=(const changing&) = delete;
    ~changing();

    cluster_core::changes changes;

private:
    using milliseconds = std::chrono::milliseconds;

    void replace_pool(cluster_member& m, milliseconds within);
    void follow(const cluster_core::change& c);

    struct news
    {
        std::string host;
        host_role from;
        host_role to;
        std::string why;
    };
    struct failover
    {
        std::string from;
        std::string to;
        std::chrono::nanoseconds without;
    };

    cluster_impl& cluster_;
    std::unique_lock<std::mutex> lock_;
    std::vector<std::pair<std::shared_ptr<pgcoro::pool>, milliseconds>> retired_;
    std::vector<std::shared_ptr<pgcoro::pool>> evicted_;
    std::vector<news> news_;
    std::optional<failover> failover_;
};

} // namespace pgcoro::detail
