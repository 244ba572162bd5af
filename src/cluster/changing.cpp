#include "cluster/changing.hpp"

#include "connection/clock.hpp"

#include <pgcoro/observer/observer.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <utility>

namespace pgcoro::detail
{

void cluster_impl::changing::replace_pool(cluster_member& m, milliseconds within)
{
    if (!m.pool) return;
    bool gone = cluster_.core_.role(m.id) == host_role::removed;
    retired_.emplace_back(std::exchange(m.pool, gone ? nullptr : cluster_.make_pool(m)), within);
}

void cluster_impl::changing::follow(const cluster_core::change& c)
{
    auto& m = *cluster_.members_[c.host];
    auto why = c.to == host_role::unreachable && !m.last_failure.empty() ? m.last_failure : c.why;
    news_.push_back({m.name, c.from, c.to, std::move(why)});
    bool was_primary = c.from == host_role::primary;
    if (was_primary) {
        cluster_.without_primary_since_ = clock::now();
        cluster_.last_primary_ = m.name;
    }
    if (c.to == host_role::primary && m.was_replica) ++cluster_.promotions_;
    if (c.to == host_role::primary || c.to == host_role::replica) m.was_replica = c.to == host_role::replica;
    switch (c.to) {
    case host_role::primary:
        for (auto& other : cluster_.members_)
            // Whoever still waits for an answer of the old primary waits for nothing now.
            if (other->id != c.host && cluster_.core_.role(other->id) == host_role::unreachable)
                replace_pool(*other, milliseconds(0));
        if (was_primary) replace_pool(m, cluster_.options_.drain_timeout);
        if (cluster_.last_primary_.empty()) break; // the first of all
        ++cluster_.failovers_;
        failover_ = failover{cluster_.last_primary_, m.name, clock::now() - cluster_.without_primary_since_};
        break;
    case host_role::unreachable:
        // A primary may come back as such, and then says what became of a COMMIT: who asks, keeps waiting.
        if (was_primary)
            evicted_.push_back(m.pool);
        else
            replace_pool(m, milliseconds(0));
        break;
    case host_role::outdated:
        replace_pool(m, milliseconds(0));
        break;
    case host_role::removed:
        replace_pool(m, cluster_.options_.drain_timeout);
        break;
    case host_role::replica:
        if (was_primary) replace_pool(m, cluster_.options_.drain_timeout);
        break;
    case host_role::unknown:
        break;
    }
}

cluster_impl::changing::~changing()
{
    if (!cluster_.closed_)
        for (auto& c : changes) follow(c);
    auto waiting = std::exchange(cluster_.waiting_, {});
    auto self = cluster_.shared_from_this();
    lock_.unlock();

    for (auto& p : evicted_)
        if (p) p->evict();
    for (auto& [p, within] : retired_)
        asio::co_spawn(self->executor_, retire(std::move(p), within), asio::detached);
    for (auto& weak : waiting)
        if (auto one = weak.lock()) one->tell();
    auto* observer = self->options_.pool.observer;
    if (!observer) return;
    auto& name = self->options_.pool.name;
    for (auto& n : news_) observer->on_role({name, n.host, to_string(n.from), to_string(n.to), n.why});
    if (failover_) observer->on_failover({name, failover_->from, failover_->to, failover_->without});
}

} // namespace pgcoro::detail
