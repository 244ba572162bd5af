// The cluster's mind: who is the primary, who is fit for a read. No I/O, no lock, no clock.
#pragma once

#include <pgcoro/cluster/cluster.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace pgcoro::detail
{

class cluster_core
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using duration = std::chrono::steady_clock::duration;
    using host_id = std::size_t;

    // What a server says when it is asked.
    struct answer
    {
        bool in_recovery = false;
        std::uint64_t position = 0; // applied, or of a primary: written
        std::uint32_t timeline = 0; // of a standby: that it receives; 0 when it does not say
    };

    // From primary to primary: another server is the primary now, at the same address.
    struct change
    {
        host_id host;
        host_role from;
        host_role to;
    };
    using changes = std::vector<change>;

    explicit cluster_core(const cluster_options& options);

    // In the order of their ids, from 0 on; ids are not used again.
    host_id add();
    void remove(host_id host, changes& out);

    // The question went out at `sent`, so that the position is at least that of then.
    void answered(host_id host, const answer& a, time_point sent, time_point received, changes& out);
    void failed(host_id host, changes& out);
    // It said beside the questions that it is a standby: new connections say so by themselves.
    void is_standby(host_id host, changes& out);
    // A standby has applied so much by now.
    void applied(host_id host, std::uint64_t position);

    std::optional<host_id> primary() const noexcept { return primary_; }
    host_role role(host_id host) const noexcept { return hosts_[host].role; }
    std::uint64_t position(host_id host) const noexcept { return hosts_[host].position; }
    duration latency(host_id host) const noexcept { return hosts_[host].latency; }
    // How old what a replica shows may be; nothing when it was never known to be up to date.
    std::optional<duration> lag(host_id host, time_point now) const;

    // The hosts for a read that must see what was written up to `needed`.
    std::vector<host_id> readable(std::uint64_t needed, time_point now) const;
    // Those that would be, had they applied as much.
    std::vector<host_id> behind(std::uint64_t needed, time_point now) const;

private:
    // The primary had written that much when it was asked, then.
    struct sample
    {
        time_point at;
        std::uint64_t position;
    };
    static constexpr std::size_t most_samples = 256; // twice the bound on the lag, at the least

    struct entry
    {
        host_role role = host_role::unknown;
        std::uint64_t position = 0;
        duration latency{};
        std::optional<time_point> fresh_as_of; // nothing acknowledged before that is missing there
    };

    void set_role(host_id host, host_role to, changes& out);
    void claims_primary(host_id host, std::uint32_t timeline, changes& out);
    void add_sample(sample s);
    void refresh(entry& h);
    bool within_lag(host_id host, time_point now) const;

    duration max_lag_;
    duration apart_; // samples, at least
    bool primary_reads_;
    std::vector<entry> hosts_;
    std::optional<host_id> primary_;
    std::uint32_t newest_timeline_ = 0;
    std::vector<sample> samples_; // of the present primary; both members ascend
};

// One that could serve a read.
struct read_candidate
{
    std::size_t in_use = 0; // and waiting
    std::chrono::steady_clock::duration latency{};
};

// Which of them (one at least) does. `turn` counts the reads; `first` and `second` are drawn by chance.
std::size_t choose(read_policy policy, const std::vector<read_candidate>& among, std::uint64_t turn,
                   std::uint32_t first, std::uint32_t second);

} // namespace pgcoro::detail
