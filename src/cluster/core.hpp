// The cluster's mind: who is the primary, who is fit for a read. No I/O, no lock, no clock.
#pragma once

#include <pgcoro/cluster/cluster.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
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
        // Of the log that a primary writes; of a standby: the newest that it certainly follows. 0 if it does not say.
        std::uint32_t timeline = 0;
        std::uint64_t system = 0; // the system identifier; 0 if it does not say
        std::int64_t started = 0; // the postmaster's start; 0 if it does not say
        // A standby on which every statement fails, because default_transaction_isolation is serializable.
        bool serializable = false;
    };

    // From primary to primary: another server is the primary now, at the same address.
    struct change
    {
        host_id host;
        host_role from;
        host_role to;
        std::string why = {};
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
    // A standby whose postmaster started then has applied so much by now.
    void applied(host_id host, std::uint64_t position, std::int64_t started);

    std::optional<host_id> primary() const noexcept { return primary_; }
    host_role role(host_id host) const noexcept { return hosts_[host].role; }
    std::uint64_t position(host_id host) const noexcept { return hosts_[host].position; }
    std::int64_t started(host_id host) const noexcept { return hosts_[host].started; }
    duration latency(host_id host) const noexcept { return hosts_[host].latency; }
    // How old what a replica shows may be; nothing when it was never known to be up to date.
    std::optional<duration> lag(host_id host, time_point now) const;

    // Why a replica serves no reads, whatever its lag: its positions, or it, cannot be used. Empty if nothing of the kind is
    // known, and for other roles.
    std::string unusable(host_id host) const;

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
        std::uint64_t system = 0;
        std::uint32_t timeline = 0; // the newest that it certainly followed since its postmaster's start
        std::int64_t started = 0;
        bool serializable = false;
    };

    void set_role(host_id host, host_role to, changes& out, std::string why = {});
    void claims_primary(host_id host, const answer& a, changes& out);
    bool begins_anew(host_id host, const answer& a) const;
    // A replica whose log is the primary's, as far as it has got. Only then do positions say anything about it.
    bool follows(const entry& h) const noexcept;
    // A replica whose log is certainly another one.
    bool diverges(const entry& h) const noexcept;
    void add_sample(sample s);
    void refresh(entry& h);
    bool within_lag(host_id host, time_point now) const;
    bool has_applied(const entry& h, std::uint64_t needed) const noexcept;

    duration max_lag_;
    duration apart_; // samples, at least
    bool primary_reads_;
    std::vector<entry> hosts_;
    std::optional<host_id> primary_;
    std::optional<host_id> last_primary_;
    // The log of the present primary, or of the last one.
    std::uint64_t system_ = 0;
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
