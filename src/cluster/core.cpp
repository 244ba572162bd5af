#include "cluster/core.hpp"

#include <algorithm>

namespace pgcoro::detail
{

cluster_core::cluster_core(const cluster_options& options)
    : max_lag_(options.max_lag)
    , apart_(options.max_lag / 128)
    , primary_reads_(options.primary_reads)
{}

cluster_core::host_id cluster_core::add()
{
    hosts_.emplace_back();
    return hosts_.size() - 1;
}

void cluster_core::remove(host_id host, changes& out) { set_role(host, host_role::removed, out); }

void cluster_core::set_role(host_id host, host_role to, changes& out)
{
    auto& h = hosts_[host];
    if (h.role == to || h.role == host_role::removed) return;
    if (primary_ == host) {
        primary_.reset();
        samples_.clear();
    }
    if (to == host_role::primary) {
        primary_ = host;
        samples_.clear(); // another log, from where the two part
    }
    out.push_back({host, h.role, to});
    h.role = to;
}

void cluster_core::answered(host_id host, const answer& a, time_point sent, time_point received, changes& out)
{
    auto& h = hosts_[host];
    if (h.role == host_role::removed) return;
    auto took = received - sent;
    h.latency = h.latency == duration() ? took : h.latency + (took - h.latency) / 8;
    if (a.in_recovery) {
        set_role(host, host_role::replica, out);
        // One that still follows an outdated primary has another log: its positions mean nothing here.
        bool elsewhere = a.timeline != 0 && a.timeline < newest_timeline_;
        auto position = elsewhere ? 0 : a.position;
        if (position < h.position) h.fresh_as_of.reset(); // made anew, or rewound
        h.position = position;
        refresh(h);
        return;
    }
    claims_primary(host, a.timeline, out);
    h.position = a.position;
    if (primary_ == host) add_sample({sent, a.position});
}

// Of two that take writes the one that was promoted last is meant; the other has not noticed.
void cluster_core::claims_primary(host_id host, std::uint32_t timeline, changes& out)
{
    if (primary_ == host && timeline > newest_timeline_) {
        // One address, and another server behind it.
        samples_.clear();
        out.push_back({host, host_role::primary, host_role::primary});
    }
    bool taken = primary_ && *primary_ != host;
    if (timeline < newest_timeline_ || (taken && timeline == newest_timeline_))
        return set_role(host, host_role::outdated, out);
    if (taken) set_role(*primary_, host_role::outdated, out);
    newest_timeline_ = timeline;
    set_role(host, host_role::primary, out);
}

void cluster_core::failed(host_id host, changes& out) { set_role(host, host_role::unreachable, out); }

void cluster_core::is_standby(host_id host, changes& out)
{
    if (hosts_[host].role == host_role::primary || hosts_[host].role == host_role::outdated)
        set_role(host, host_role::replica, out);
}

void cluster_core::applied(host_id host, std::uint64_t position)
{
    auto& h = hosts_[host];
    if (h.role != host_role::replica || position <= h.position) return;
    h.position = position;
    refresh(h);
}

void cluster_core::add_sample(sample s)
{
    if (!samples_.empty() && samples_.back().position > s.position) samples_.clear();
    // One that is too near to the one before is not worth a place: what is said of a replica gets coarser by
    // that, never too good. The newest is always there.
    auto n = samples_.size();
    if (n >= 2 && samples_[n - 1].at - samples_[n - 2].at < apart_) samples_.pop_back();
    if (samples_.size() == most_samples) samples_.erase(samples_.begin());
    samples_.push_back(s);
}

// The last sample that the replica has got as far as says since when it can be behind at most.
void cluster_core::refresh(entry& h)
{
    auto beyond = std::ranges::upper_bound(samples_, h.position, {}, &sample::position);
    if (beyond == samples_.begin()) return;
    auto at = std::prev(beyond)->at;
    if (!h.fresh_as_of || *h.fresh_as_of < at) h.fresh_as_of = at;
}

std::optional<cluster_core::duration> cluster_core::lag(host_id host, time_point now) const
{
    auto& h = hosts_[host];
    if (h.role == host_role::primary) return duration();
    if (!h.fresh_as_of) return std::nullopt;
    return now - *h.fresh_as_of;
}

bool cluster_core::within_lag(host_id host, time_point now) const
{
    auto& h = hosts_[host];
    if (h.role == host_role::primary) return primary_reads_;
    if (h.role != host_role::replica) return false;
    if (max_lag_ == duration()) return true;
    auto behind = lag(host, now);
    return behind && *behind <= max_lag_;
}

std::vector<cluster_core::host_id> cluster_core::readable(std::uint64_t needed, time_point now) const
{
    std::vector<host_id> found;
    for (host_id id = 0; id < hosts_.size(); ++id)
        if (within_lag(id, now) && (primary_ == id || hosts_[id].position >= needed)) found.push_back(id);
    return found;
}

std::vector<cluster_core::host_id> cluster_core::behind(std::uint64_t needed, time_point now) const
{
    std::vector<host_id> found;
    for (host_id id = 0; id < hosts_.size(); ++id)
        if (hosts_[id].role == host_role::replica && within_lag(id, now) && hosts_[id].position < needed)
            found.push_back(id);
    return found;
}

std::size_t choose(read_policy policy, const std::vector<read_candidate>& among, std::uint64_t turn,
                   std::uint32_t first, std::uint32_t second)
{
    switch (policy) {
    case read_policy::round_robin:
        break;
    case read_policy::least_in_use:
        // From a place that moves on, so that equals take turns.
        {
            auto best = turn % among.size();
            for (std::size_t i = 1; i < among.size(); ++i) {
                auto other = (turn + i) % among.size();
                if (among[other].in_use < among[best].in_use) best = other;
            }
            return best;
        }
    case read_policy::lowest_latency:
        return static_cast<std::size_t>(std::ranges::min_element(among, {}, &read_candidate::latency) -
                                        among.begin());
    case read_policy::two_choices: {
        auto one = first % among.size();
        if (among.size() == 1) return one;
        auto other = (one + 1 + second % (among.size() - 1)) % among.size();
        return among[other].in_use < among[one].in_use ? other : one;
    }
    }
    return turn % among.size();
}

} // namespace pgcoro::detail
