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

void cluster_core::set_role(host_id host, host_role to, changes& out, std::string why)
{
    auto& h = hosts_[host];
    if (h.role == to || h.role == host_role::removed) return;
    if (primary_ == host) {
        primary_.reset();
        samples_.clear();
    }
    if (to == host_role::primary) {
        primary_ = last_primary_ = host;
        samples_.clear(); // another log, from where the two part
    }
    out.push_back({host, h.role, to, std::move(why)});
    h.role = to;
}

void cluster_core::answered(host_id host, const answer& a, time_point sent, time_point received, changes& out)
{
    auto& h = hosts_[host];
    if (h.role == host_role::removed) return;
    auto took = received - sent;
    h.latency = h.latency == duration() ? took : h.latency + (took - h.latency) / 8;
    bool another = a.started != h.started || a.system != h.system;
    h.started = a.started;
    h.system = a.system;
    if (a.in_recovery) {
        set_role(host, host_role::replica, out);
        bool anew = another || a.position < h.position; // made anew, or rewound
        if (anew) h.fresh_as_of.reset();
        h.timeline = anew ? a.timeline : std::max(h.timeline, a.timeline);
        h.serializable = a.serializable;
        h.position = a.position;
        refresh(h);
        return;
    }
    claims_primary(host, a, out);
    h.timeline = a.timeline;
    h.position = a.position;
    if (primary_ == host) add_sample({sent, a.position});
}

// Of two that take writes the one that was promoted last is meant; the other has not noticed. Timelines tell that only
// within one database cluster.
void cluster_core::claims_primary(host_id host, const answer& a, changes& out)
{
    bool taken = primary_ && *primary_ != host;
    if (system_ != 0 && a.system != 0 && a.system != system_) {
        if (!begins_anew(host, a)) return set_role(host, host_role::outdated, out);
        auto why = "another database cluster: its system identifier is " + std::to_string(a.system) + ", and was " +
                   std::to_string(system_);
        for (auto& h : hosts_) h.fresh_as_of.reset();
        if (primary_ == host) {
            samples_.clear();
            out.push_back({host, host_role::primary, host_role::primary, std::move(why)});
        } else {
            set_role(host, host_role::primary, out, std::move(why));
        }
        system_ = a.system;
        newest_timeline_ = a.timeline;
        return;
    }
    if (primary_ == host && a.timeline > newest_timeline_) {
        // One address, and another server behind it.
        samples_.clear();
        out.push_back({host, host_role::primary, host_role::primary});
    }
    if (a.timeline < newest_timeline_ || (taken && a.timeline == newest_timeline_))
        return set_role(host, host_role::outdated, out);
    if (taken) set_role(*primary_, host_role::outdated, out);
    if (a.system != 0) system_ = a.system;
    newest_timeline_ = a.timeline;
    set_role(host, host_role::primary, out);
}

// A server of another database cluster takes the primary's place after pg_upgrade, a switch to a copy, or a restore. Not
// while another server takes writes; nor, at another address than the last primary's, while a standby answers that may
// be promoted yet.
bool cluster_core::begins_anew(host_id host, const answer& a) const
{
    for (host_id id = 0; id < hosts_.size(); ++id) {
        auto& h = hosts_[id];
        if (id == host || h.system == a.system) continue;
        if (h.role == host_role::primary || h.role == host_role::outdated) return false;
        if (h.role == host_role::replica && last_primary_ != host) return false;
    }
    return true;
}

bool cluster_core::diverges(const entry& h) const noexcept
{
    bool other_system = system_ != 0 && h.system != 0 && h.system != system_;
    return other_system || (newest_timeline_ != 0 && h.timeline != 0 && h.timeline != newest_timeline_);
}

bool cluster_core::follows(const entry& h) const noexcept
{
    return newest_timeline_ != 0 && h.timeline == newest_timeline_ && !diverges(h);
}

std::string cluster_core::unusable(host_id host) const
{
    auto& h = hosts_[host];
    if (h.role != host_role::replica) return {};
    if (h.serializable)
        return "default_transaction_isolation is serializable there, which a standby refuses: every statement would fail";
    if (system_ != 0 && h.system != 0 && h.system != system_)
        return "it is of another database cluster: its system identifier is " + std::to_string(h.system) +
               ", and the primary's is " + std::to_string(system_);
    if (newest_timeline_ == 0) return {};
    if (h.timeline == 0)
        return "its timeline is not known: let the role execute pg_control_checkpoint() and pg_control_recovery(), or be a "
               "member of pg_monitor";
    if (diverges(h))
        return "it follows timeline " + std::to_string(h.timeline) + " as far as it says, and the primary is on " +
               std::to_string(newest_timeline_);
    return {};
}

void cluster_core::failed(host_id host, changes& out) { set_role(host, host_role::unreachable, out); }

void cluster_core::is_standby(host_id host, changes& out)
{
    if (hosts_[host].role == host_role::primary || hosts_[host].role == host_role::outdated)
        set_role(host, host_role::replica, out);
}

void cluster_core::applied(host_id host, std::uint64_t position, std::int64_t started)
{
    auto& h = hosts_[host];
    if (h.role != host_role::replica || started != h.started || position <= h.position) return;
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
    if (!follows(h)) return;
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
    if (h.role != host_role::replica || h.serializable) return false;
    if (max_lag_ == duration()) return !diverges(h);
    auto behind = lag(host, now);
    return follows(h) && behind && *behind <= max_lag_;
}

bool cluster_core::has_applied(const entry& h, std::uint64_t needed) const noexcept
{
    return needed == 0 || (follows(h) && h.position >= needed);
}

std::vector<cluster_core::host_id> cluster_core::readable(std::uint64_t needed, time_point now) const
{
    std::vector<host_id> found;
    for (host_id id = 0; id < hosts_.size(); ++id)
        if (within_lag(id, now) && (primary_ == id || has_applied(hosts_[id], needed))) found.push_back(id);
    return found;
}

std::vector<cluster_core::host_id> cluster_core::behind(std::uint64_t needed, time_point now) const
{
    std::vector<host_id> found;
    for (host_id id = 0; id < hosts_.size(); ++id)
        if (hosts_[id].role == host_role::replica && within_lag(id, now) && follows(hosts_[id]) &&
            hosts_[id].position < needed)
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
