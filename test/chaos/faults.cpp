#include "faults.hpp"

#include "hoard.hpp"
#include "watch.hpp"

#include <pgcoro/testing/server.hpp>

#include <csignal>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace chaos
{

using namespace std::chrono_literals;
using pgcoro::testing::server;
using pgcoro::testing::shutdown;

namespace
{

void wait(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

std::chrono::milliseconds between(std::chrono::milliseconds from, std::chrono::milliseconds to,
                                  std::mt19937& rng)
{
    return std::chrono::milliseconds(
        std::uniform_int_distribution<std::chrono::milliseconds::rep>(from.count(), to.count())(rng));
}

bool toss(std::mt19937& rng) { return std::bernoulli_distribution(0.5)(rng); }

// The layer's server processes, in random order.
std::string backends(int how_many)
{
    return " from (select pid from pg_stat_activity where application_name like '" +
           std::string(world::application) + "%' order by random() limit " + std::to_string(how_many) +
           ") as victim";
}

std::vector<pid_t> some_backends(const server& s, int how_many)
{
    std::vector<pid_t> all;
    std::istringstream lines(s.psql("select pid" + backends(how_many)));
    for (pid_t pid; lines >> pid;) all.push_back(pid);
    return all;
}

void terminate_backends(world& w, std::mt19937& rng)
{
    auto how_many = std::uniform_int_distribution<int>(1, 6)(rng);
    w.primary().server().psql("select pg_terminate_backend(pid)" + backends(how_many));
}

// The postmaster then ends all the others, and recovers.
void kill_backend(world& w, std::mt19937&)
{
    for (pid_t pid : some_backends(w.primary().server(), 1)) ::kill(pid, SIGKILL);
    w.primary().bring_back();
}

void freeze_backends(world& w, std::mt19937& rng)
{
    auto& s = w.primary().server();
    auto frozen = some_backends(s, std::uniform_int_distribution<int>(1, 3)(rng));
    for (pid_t pid : frozen) {
        try {
            s.pause(pid);
        } catch (const std::invalid_argument&) { // it has ended meanwhile
        }
    }
    wait(between(1s, 4s, rng));
    s.resume();
}

void freeze_server(world& w, std::mt19937& rng)
{
    auto& s = w.primary().server();
    s.pause();
    wait(between(500ms, 4s, rng));
    s.resume();
}

// It is gone for at most so long.
void kill_for(pgcoro::testing::server& s, std::chrono::milliseconds longest, std::mt19937& rng)
{
    s.kill();
    wait(between(0ms, longest, rng));
    s.start();
}

void kill_server(world& w, std::mt19937& rng) { kill_for(w.primary().server(), 500ms, rng); }

void kill_replica(world& w, std::mt19937& rng) { kill_for(w.replica().server(), 2s, rng); }

void restart_server(world& w, std::mt19937& rng)
{
    w.primary().server().restart(toss(rng) ? shutdown::fast : shutdown::immediate);
}

void take_server_away(world& w, std::mt19937& rng)
{
    auto& s = w.primary().server();
    s.stop();
    wait(between(2s, 6s, rng));
    s.start();
}

template <weather Weather>
void change_weather(world& w, std::mt19937& rng)
{
    w.set(Weather);
    wait(between(500ms, 3s, rng));
    w.set(weather::fair);
}

void fill_disk(world& w, std::mt19937& rng)
{
    auto& h = w.primary();
    h.disk()->fill();
    try {
        // A server has some files ready: it gets through those first.
        for (int i = 0; i < 20; ++i) h.server().psql("select txid_current(); select pg_switch_wal()");
    } catch (const std::runtime_error&) { // it has noticed
    }
    wait(between(0ms, 1s, rng));
    h.disk()->make_room();
    h.bring_back();
}

void take_connections(world& w, std::mt19937& rng)
{
    hoard all(w.primary().server().uri());
    all.take_all();
    all.run("select pg_terminate_backend(pid)" + backends(100));
    auto until = clock::now() + between(500ms, 3s, rng);
    do all.take_all();
    while (clock::now() < until);
}

// Forth and back, or back and forth, by more than any timeout.
void jump_clock(world& w, std::mt19937& rng)
{
    auto far = std::chrono::duration_cast<std::chrono::seconds>(between(10min, 24h, rng));
    w.clock().jump_to(toss(rng) ? far : -far);
    wait(between(2s, 4s, rng));
    w.clock().jump_to(0s);
    wait(1500ms); // until they have seen it
}

void move_address(world& w, std::mt19937&) { w.primary().move(); }

// As an administrator does it: nothing is lost.
void switch_over(world& w, std::mt19937&)
{
    auto& old = w.primary().server();
    auto& heir = w.replica().server();
    heir.catch_up_with(old); // it is connected then, and the old one does not end before it has the rest
    old.stop();
    heir.promote();
    old.follow(heir);
    old.start();
    w.change_roles();
}

// The primary crashes for good. What it has acknowledged its replica has, too: it is synchronous then.
void fail_over(world& w, std::mt19937&)
{
    auto& old = w.primary();
    auto& heir = w.replica().server();
    old.server().psql("alter system set synchronous_standby_names = 'ANY 1 (*)'");
    old.server().psql("select pg_reload_conf()");
    auto synchronous = "select count(*) from pg_stat_replication where sync_state = 'quorum'";
    for (auto until = clock::now() + 20s; old.server().psql(synchronous) != "1"; wait(10ms))
        if (clock::now() > until) throw std::runtime_error("the replica does not become synchronous");
    heir.catch_up_with(old.server());
    old.server().kill();
    heir.promote();
    w.change_roles();
    old.replace(w.replica_options());
}

std::string_view mounting(world&)
{
    return small_disk::possible() ? "" : "this process may not mount a small file system";
}
std::string_view faketime(world& w) { return w.clock().possible() ? "" : "libfaketime is not installed"; }

constexpr fault_kind kinds[] = {
    {"backends_terminated", "some sessions are ended by pg_terminate_backend", &terminate_backends, nullptr},
    {"backend_killed", "SIGKILL of one backend; the server recovers from it", &kill_backend, nullptr},
    {"backends_frozen", "SIGSTOP of one to three backends", &freeze_backends, nullptr},
    {"server_frozen", "SIGSTOP of the whole primary", &freeze_server, nullptr},
    {"server_killed", "SIGKILL of the whole primary, and its recovery", &kill_server, nullptr},
    {"server_restarted", "the primary is restarted, orderly or not", &restart_server, nullptr},
    {"server_away", "the primary stays down for seconds", &take_server_away, nullptr},
    {"replica_killed", "SIGKILL of the whole replica, and its recovery", &kill_replica, nullptr},
    {"network_slow", "each message comes later", &change_weather<weather::slow>, nullptr},
    {"network_narrow", "25 KB/s a connection", &change_weather<weather::narrow>, nullptr},
    {"network_cuts", "connections end after the n-th byte", &change_weather<weather::cutting>, nullptr},
    {"network_resets", "connections are reset after the n-th byte", &change_weather<weather::resetting>,
     nullptr},
    {"network_silent", "what is said is swallowed; logins hang", &change_weather<weather::silent>, nullptr},
    {"wal_disk_full", "the disk of the WAL is full", &fill_disk, &mounting},
    {"connections_taken", "somebody else has all of max_connections", &take_connections, nullptr},
    {"clock_jump", "the servers' clock jumps by hours, and back", &jump_clock, &faketime},
    {"address_moved", "the primary's name leads to another address", &move_address, nullptr},
    {"switchover", "primary and replica change places", &switch_over, nullptr},
    {"failover", "the primary is lost, its replica promoted", &fail_over, nullptr},
};

} // namespace

std::span<const fault_kind> all_faults() { return kinds; }

} // namespace chaos
