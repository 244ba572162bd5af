#include "faults.hpp"

#include <chrono>
#include <csignal>
#include <thread>

namespace failover
{

using namespace std::chrono_literals;

namespace
{

void switch_over(const patroni& p, node&)
{
    p.ctl({"switchover", "--force", "--candidate", p.synchronous_replica().name()});
}

// Patroni sees it in its next round, and does not wait for a recovery: primary_start_timeout is 0.
void kill_postmaster(const patroni&, node& leader) { leader.signal_server(SIGKILL, false); }

void kill_node(const patroni&, node& leader) { leader.kill(); }
void start_node(const patroni&, node& harmed) { harmed.start(); }

// Its server goes on as a second primary until its Patroni wakes up.
void freeze_daemon(const patroni&, node& leader) { leader.signal_daemon(SIGSTOP); }
void wake_daemon(const patroni&, node& harmed) { harmed.signal_daemon(SIGCONT); }

void freeze_node(const patroni&, node& leader)
{
    leader.signal_daemon(SIGSTOP);
    leader.signal_server(SIGSTOP, true);
}
// The server first: for a moment it is a primary that knows of nothing.
void wake_node(const patroni&, node& harmed)
{
    harmed.signal_server(SIGCONT, true);
    std::this_thread::sleep_for(200ms);
    harmed.signal_daemon(SIGCONT);
}

// Longer than the leader may go without it.
void take_etcd_away(const patroni& p, node& leader)
{
    p.signal_etcd(SIGSTOP);
    for (auto until = std::chrono::steady_clock::now() + 40s;
         leader.leads() && std::chrono::steady_clock::now() < until;)
        std::this_thread::sleep_for(50ms);
    p.signal_etcd(SIGCONT);
}

void kill_replica(const patroni& p, node&) { p.synchronous_replica().signal_server(SIGKILL, false); }

constexpr fault_kind kinds[] = {
    {"switchover", "patronictl switchover", true, &switch_over, nullptr},
    {"postmaster_killed", "SIGKILL of the primary's postmaster", true, &kill_postmaster, nullptr},
    {"node_killed", "SIGKILL of the primary and its Patroni", true, &kill_node, &start_node},
    {"patroni_frozen", "SIGSTOP of the leader's Patroni alone: two primaries for a while", true,
     &freeze_daemon, &wake_daemon},
    {"node_frozen", "SIGSTOP of the primary and its Patroni", true, &freeze_node, &wake_node},
    {"etcd_away", "SIGSTOP of etcd until the leader steps down", false, &take_etcd_away, nullptr},
    {"replica_killed", "SIGKILL of the synchronous replica's postmaster", false, &kill_replica, nullptr},
};

} // namespace

std::span<const fault_kind> all_faults() { return kinds; }

} // namespace failover
