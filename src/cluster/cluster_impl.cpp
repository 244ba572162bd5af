#include "cluster/changing.hpp"

#include "cluster/hosts.hpp"
#include "connection/clock.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

// With the lock held.
void stop(const std::shared_ptr<cluster_member>& m)
{
    m->kick->tell(); // a watcher between two checks is left to its I/O context, which may never run again
    // On Boost 1.83 a coroutine must have begun before it is cancelled; one that has not, looks by itself.
    asio::post(m->strand, [m] {
        if (m->watched) m->stop.emit(asio::cancellation_type::terminal);
    });
}

} // namespace

cluster_impl::cluster_impl(asio::any_io_executor executor, cluster_options options)
    : options_((options.validate(), std::move(options)))
    , executor_(std::move(executor))
    , core_(options_)
{}

void cluster_impl::start()
{
    for (auto& [name, how] : hosts_of(options_)) add(std::move(name), std::move(how));
}

void cluster_impl::add(std::string_view host)
{
    auto [name, how] = host_named(options_, host);
    add(std::move(name), std::move(how));
}

void cluster_impl::add(std::string name, connection_options how)
{
    std::shared_ptr<cluster_member> m;
    {
        std::lock_guard lock(mutex_);
        check_open();
        for (auto& known : members_)
            if (known->name == name && core_.role(known->id) != host_role::removed) return;
        m = std::make_shared<cluster_member>(core_.add(), std::move(name), std::move(how),
                                             asio::make_strand(executor_));
        m->pool = make_pool(*m);
        members_.push_back(m);
    }
    asio::co_spawn(m->strand, watch(m), asio::bind_cancellation_slot(m->stop.slot(), asio::detached));
}

void cluster_impl::remove(std::string_view host)
{
    auto [name, how] = host_named(options_, host);
    std::shared_ptr<cluster_member> gone;
    changing act(*this);
    for (auto& m : members_)
        if (m->name == name && core_.role(m->id) != host_role::removed) gone = m;
    if (!gone) return;
    core_.remove(gone->id, act.changes);
    stop(gone);
}

std::shared_ptr<pool> cluster_impl::make_pool(const cluster_member& m)
{
    auto o = options_.pool;
    o.connection = m.connection;
    o.connection.parameters.try_emplace("fallback_application_name", o.name);
    o.name += '/' + m.name;
    o.on_connect = [weak = weak_from_this(), name = m.name, id = m.id](connection& c) {
        auto self = weak.lock();
        if (!self) throw pool_closed("the cluster of pool '" + name + "' is gone");
        return self->greet(name, id, c);
    };
    return std::make_shared<pgcoro::pool>(executor_, std::move(o));
}

// Each new connection says for itself what its server is: between two checks it may have become another.
asio::awaitable<void> cluster_impl::greet(std::string name, host_id id, connection& c)
{
    auto self = shared_from_this();
    bool standby = c.parameter_status("in_hot_standby") == "on";
    bool was_primary = false;
    if (standby) {
        changing act(*this);
        was_primary = core_.role(id) == host_role::primary;
        if (!closed_) core_.is_standby(id, act.changes);
    }
    if (was_primary)
        throw connection_error(connection_failure::wrong_role, "host " + name + " of cluster '" +
                                                                   options_.pool.name +
                                                                   "' was the primary, and is a standby now");
    if (options_.pool.on_connect) co_await options_.pool.on_connect(c);
}

asio::awaitable<void> cluster_impl::retire(std::shared_ptr<pool> p, std::chrono::milliseconds within)
{
    co_await p->close(within);
}

void cluster_impl::check_open() const
{
    if (closed_) throw pool_closed("cluster '" + options_.pool.name + "' is closed");
}

void cluster_impl::kick_all()
{
    for (auto& m : members_) m->kick->tell();
}

asio::awaitable<void> cluster_impl::close(std::chrono::milliseconds within)
{
    auto self = shared_from_this();
    auto until = clock::now() + within;
    std::vector<std::shared_ptr<pool>> pools;
    {
        std::lock_guard lock(mutex_);
        for (auto& m : members_)
            if (m->pool) pools.push_back(m->pool);
    }
    abandon();
    for (auto& p : pools) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
        co_await p->close(std::max(left, std::chrono::milliseconds(0)));
    }
}

void cluster_impl::abandon() noexcept
{
    std::vector<std::shared_ptr<pool>> dropped; // whose destructors close what is idle
    changing act(*this);
    closed_ = true;
    for (auto& m : members_) {
        dropped.push_back(std::exchange(m->pool, nullptr));
        stop(m);
    }
}

cluster_stats cluster_impl::stats() const
{
    cluster_stats all;
    all.waited_for_primary = waited_for_primary_;
    all.token_waits = token_waits_;
    all.caught_up = caught_up_;
    all.stale_avoided = stale_avoided_;
    all.rerouted = rerouted_;
    auto now = clock::now();
    std::lock_guard lock(mutex_);
    all.failovers = failovers_;
    all.promotions = promotions_;
    for (auto& m : members_) {
        host_stats h;
        h.name = m->name;
        h.role = core_.role(m->id);
        if (h.role == host_role::removed) continue;
        h.lag = core_.lag(m->id, now);
        h.position = commit_token(core_.position(m->id));
        h.unusable = core_.unusable(m->id);
        h.latency = core_.latency(m->id);
        h.reads = m->reads;
        h.writes = m->writes;
        h.failed_checks = m->failed_checks;
        h.last_failure = m->last_failure;
        if (m->pool) h.connections = m->pool->stats();
        all.hosts.push_back(std::move(h));
    }
    return all;
}

bool cluster_impl::open() const
{
    std::lock_guard lock(mutex_);
    return !closed_;
}

std::string cluster_impl::state_text() const
{
    std::string text;
    for (auto& m : members_) {
        auto role = core_.role(m->id);
        if (role == host_role::removed) continue;
        text += (text.empty() ? "" : "; ") + m->name + " is " + std::string(to_string(role));
        if (role == host_role::unreachable && !m->last_failure.empty()) text += " (" + m->last_failure + ")";
    }
    return text.empty() ? "it has no hosts" : text;
}

} // namespace pgcoro::detail
