#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/pool/options.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// Which of the replicas that are fit for a read gets it.
enum class read_policy {
    round_robin,    ///< each in its turn
    least_in_use,   ///< the one with the fewest connections in use and callers waiting
    lowest_latency, ///< the one that answers the checks soonest (a moving average)
    two_choices, ///< of two drawn by chance the less used: nearly the best, without a herd that moves as one
};

/// "round_robin", "least_in_use" …: for messages and labels.
std::string_view to_string(read_policy p) noexcept;

/// How a cluster behaves.
struct cluster_options
{
    /// What each host's pool is like; its name is the cluster's, and its `acquire_timeout` is per host. The
    /// connection options name the hosts unless `hosts` does, as libpq's multi-host URI and PGHOST have them:
    /// "postgresql://a:5432,b:5432/app". A `target_session_attrs` there is not used: roles are asked for.
    pool_options pool;

    /// The hosts, each "host", "host:port", "[IPv6]:port" or "/socket/folder:port". Each must be one server,
    /// or one address that leads to one server at a time. Empty (default): those of `pool.connection`.
    std::vector<std::string> hosts;

    /// Who gets a read.
    read_policy reads = read_policy::two_choices;

    /// Does the primary take its share of the reads? It always does when no replica is fit for them.
    bool primary_reads = false;

    /// A replica serves no reads while what it shows may be older than this. Counted on this side's clock:
    /// from the last moment at which the primary, asked, had written no more than the replica has applied by
    /// now. So it is never less than the time between two checks, and it grows while there is no primary to
    /// ask. 0: no bound. Else at least twice `check_interval`.
    std::chrono::milliseconds max_lag{10'000};

    /// How often each host is asked for its role and position, on a connection kept for that. At least 1 ms.
    std::chrono::milliseconds check_interval{500};

    /// How often while it does not answer, or there is no primary. At least 1 ms.
    std::chrono::milliseconds recheck_interval{100};

    /// A host that has not answered such a question by then is not used. At least 1 ms.
    std::chrono::milliseconds check_timeout{2'000};

    /// How long a write, or a read that nothing else can serve, waits for a primary. At least 1 ms.
    std::chrono::milliseconds failover_timeout{30'000};

    /// Read-your-writes: how long a read waits for a replica to catch up before it goes to the primary. 0:
    /// not at all.
    std::chrono::milliseconds catch_up_timeout{100};

    /// How long those who still hold connections to a demoted primary may go on before they are cut.
    std::chrono::milliseconds drain_timeout{5'000};

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

} // namespace pgcoro
