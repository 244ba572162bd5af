#pragma once

#include "integration/support/private_program.hpp"
#include "testing/reserved_port.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace failover
{

/// One of Patroni's nodes: the daemon, and the PostgreSQL server that it starts, stops and promotes.
class node
{
public:
    /// Starts the daemon. `etcd` is the port where it finds the others; `password` is the superuser's and the replicas'.
    node(std::string name, std::uint16_t etcd, const std::string& password);

    const std::string& name() const noexcept { return name_; }
    /// Where PostgreSQL listens on 127.0.0.1.
    std::uint16_t port() const noexcept { return server_port_.number(); }
    /// Where Patroni's REST interface does.
    std::uint16_t rest_port() const noexcept { return rest_port_.number(); }
    std::string configuration() const { return (daemon_.folder() / "yml").string(); }

    /// Does it hold the leader's lock, with a server that takes writes?
    bool leads() const;
    /// What the REST interface says of all members, as JSON; empty when it does not answer.
    std::string members() const;

    /// A signal for the daemon alone.
    void signal_daemon(int number) const { daemon_.signal(number); }
    /// A signal for PostgreSQL: the postmaster first, then its children if they are meant, too.
    void signal_server(int number, bool children) const;
    /// As if its machine had lost power; start() is what follows.
    void kill();
    void start();
    std::string log() const { return daemon_.log(); }

private:
    std::string name_;
    pgcoro::testing::reserved_port server_port_;
    pgcoro::testing::reserved_port rest_port_;
    test::private_program
        server_; ///< not started by us: its folder holds PostgreSQL's data, and goes with it
    test::private_program daemon_;
};

/// Three nodes under Patroni and the etcd that they agree by, all private and none as root. Commits are
/// synchronous: Patroni promotes nobody who lacks an acknowledged one.
///
/// Short times, so that a trial sees many failovers; Patroni 4 raises `ttl` to 20 s.
class patroni
{
public:
    /// What has to be installed first; empty when it is all there.
    static std::string missing();

    /// Returns when all of them run.
    patroni();

    const std::vector<std::unique_ptr<node>>& nodes() const noexcept { return nodes_; }
    /// The hosts as a URI has them: "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3".
    std::string hosts() const;
    /// The superuser's password, which is random. PostgreSQL asks for it over TCP.
    const std::string& password() const noexcept { return password_; }

    /// Waits for a leader other than `past` (null: any). Throws `std::runtime_error` with what the nodes say
    /// when there is none after two minutes.
    node& leader(const node* past = nullptr) const;
    /// Waits until every node runs on the leader's timeline and one replica is synchronous; as above.
    void wait_until_whole() const;
    /// One that confirms the leader's commits.
    node& synchronous_replica() const;
    /// `patronictl`, with its configuration. Throws with what it printed when it fails.
    void ctl(std::vector<std::string> words) const;
    /// SIGSTOP or SIGCONT for etcd.
    void signal_etcd(int number) const { etcd_.signal(number); }

private:
    [[noreturn]] void give_up(const std::string& waited_for) const;

    std::string password_;
    pgcoro::testing::reserved_port etcd_port_;
    pgcoro::testing::reserved_port etcd_peer_port_;
    test::private_program etcd_;
    std::vector<std::unique_ptr<node>> nodes_;
};

} // namespace failover
