#include "patroni.hpp"

#include "testing/binaries.hpp"
#include "testing/secret.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <thread>

namespace failover
{

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

namespace
{

constexpr std::chrono::minutes limit{2};

std::string at(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

// All that a GET is answered with, head and body; empty when it is not within a second.
std::string get(std::uint16_t port, const std::string& path)
{
    boost::asio::ip::tcp::iostream there;
    there.expires_after(1s);
    there.connect("127.0.0.1", std::to_string(port));
    there << "GET " << path << " HTTP/1.0\r\n\r\n" << std::flush;
    return {std::istreambuf_iterator<char>(there), {}};
}

bool is_ok(const std::string& answer) { return answer.substr(0, answer.find('\r')).find(" 200 ") < 16; }

// fsync is off because nothing here takes the machine's power; the server's log is apart from Patroni's. Other users of the
// machine can reach the port, so TCP asks for a password; they cannot reach the Unix socket, which is in a private folder.
std::string configuration(const std::string& name, std::uint16_t etcd, std::uint16_t rest, std::uint16_t server,
                          const std::string& password, const std::string& folder)
{
    auto bin = pgcoro::testing::find_binaries({}).string();
    return "scope: pgcoro\nname: " + name + "\nrestapi:\n  listen: " + at(rest) +
           "\n  connect_address: " + at(rest) + "\netcd3:\n  host: " + at(etcd) +
           "\nbootstrap:\n  dcs:\n    ttl: 8\n    loop_wait: 1\n    retry_timeout: 3\n"
           "    primary_start_timeout: 0\n    synchronous_mode: true\n    postgresql:\n"
           "      use_pg_rewind: true\n      parameters:\n        fsync: 'off'\n        wal_log_hints: 'on'\n"
           "        logging_collector: 'on'\n"
           "  initdb:\n  - encoding: UTF8\n  - locale: C\n  - auth-local: trust\n"
           "  - auth-host: scram-sha-256\n"
           "postgresql:\n  listen: " +
           at(server) + "\n  connect_address: " + at(server) + "\n  data_dir: " + folder +
           "/data\n  bin_dir: " + bin + "\n  pgpass: " + folder +
           "/pgpass\n  parameters:\n    unix_socket_directories: " + folder +
           "\n  pg_hba:\n  - local all all trust\n  - host all all 127.0.0.1/32 scram-sha-256\n"
           "  - host replication all 127.0.0.1/32 scram-sha-256\n"
           "  authentication:\n    superuser:\n      username: postgres\n      password: '" +
           password + "'\n    replication:\n      username: replicator\n      password: '" + password + "'\n";
}

} // namespace

node::node(std::string name, std::uint16_t etcd, const std::string& password)
    : name_(std::move(name))
    , server_(name_ + "'s PostgreSQL")
    , daemon_(name_ + "'s Patroni")
{
    daemon_.write("yml", failover::configuration(name_, etcd, rest_port(), port(), password, server_.folder().string()));
    start();
}

void node::start()
{
    daemon_.start({test::installed("patroni").string(), configuration()},
                  [this] { return test::listens(rest_port()); });
}

bool node::leads() const { return is_ok(get(rest_port(), "/primary")); }

std::string node::members() const
{
    auto answer = get(rest_port(), "/cluster");
    auto body = answer.find("\r\n\r\n");
    return is_ok(answer) && body != std::string::npos ? answer.substr(body + 4) : "";
}

void node::signal_server(int number, bool children) const
{
    std::ifstream file(server_.data() / "postmaster.pid");
    pid_t postmaster = 0;
    if (!(file >> postmaster)) throw std::runtime_error(name_ + " has no postmaster to signal");
    auto all = children ? pgcoro::testing::children_of(postmaster) : std::vector<pid_t>();
    ::kill(postmaster, number);
    for (auto pid : all) ::kill(pid, number);
}

void node::kill()
{
    daemon_.kill();
    signal_server(SIGKILL, true);
}

std::string patroni::missing()
{
    for (auto [program, package] : {std::pair("patroni", "patroni"), std::pair("patronictl", "patroni"),
                                    std::pair("etcd", "etcd-server")})
        if (test::installed(program).empty()) return package;
    return "";
}

patroni::patroni()
    : password_(pgcoro::testing::random_password())
    , etcd_("etcd")
{
    auto clients = "http://" + at(etcd_port_.number());
    auto peers = "http://" + at(etcd_peer_port_.number());
    etcd_.start({test::installed("etcd").string(), "--data-dir", etcd_.data().string(), "--unsafe-no-fsync",
                 "--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls",
                 peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default=" + peers},
                [&] { return is_ok(get(etcd_port_.number(), "/health")); });
    // Not "first" or "any": Patroni writes them unquoted into synchronous_standby_names, where they are
    // keywords.
    for (auto* name : {"alpha", "beta", "gamma"})
        nodes_.push_back(std::make_unique<node>(name, etcd_port_.number(), password_));
    wait_until_whole();
}

std::string patroni::hosts() const
{
    std::string all;
    for (auto& n : nodes_) all += (all.empty() ? "" : ",") + at(n->port());
    return all;
}

void patroni::give_up(const std::string& waited_for) const
{
    std::string told;
    for (auto& n : nodes_) {
        auto log = n->log();
        told += "\n" + n->name() + " says of the members: " + n->members() + "\nand in its log:\n" +
                log.substr(log.size() - std::min<std::size_t>(log.size(), 2000));
    }
    throw std::runtime_error("Patroni: " + waited_for + " after two minutes" + told);
}

node& patroni::leader(const node* past) const
{
    for (auto until = clock::now() + limit; clock::now() < until; std::this_thread::sleep_for(10ms))
        for (auto& n : nodes_)
            if (n.get() != past && n->leads()) return *n;
    give_up("no new leader");
}

void patroni::wait_until_whole() const
{
    // The nodes of that role, if each of `members` runs, on one timeline.
    auto whole = [](const std::string& members) {
        boost::system::error_code bad;
        auto all = json::parse(members, bad);
        if (bad) return false;
        std::multiset<std::string> roles;
        std::set<std::int64_t> timelines;
        for (auto& m : all.as_object().at("members").as_array()) {
            auto& one = m.as_object();
            auto& state = one.at("state").as_string();
            auto* timeline = one.if_contains("timeline");
            if (!timeline || (state != "running" && state != "streaming")) return false;
            timelines.insert(timeline->to_number<std::int64_t>());
            roles.emplace(one.at("role").as_string());
        }
        return roles.size() == 3 && roles.count("leader") == 1 && roles.count("sync_standby") == 1 &&
               timelines.size() == 1;
    };
    for (auto until = clock::now() + limit; clock::now() < until; std::this_thread::sleep_for(50ms)) {
        bool all_say_so = std::ranges::all_of(nodes_, [&](const auto& n) { return whole(n->members()); });
        if (all_say_so) return;
    }
    give_up("not every node is back");
}

node& patroni::synchronous_replica() const
{
    for (auto until = clock::now() + limit; clock::now() < until; std::this_thread::sleep_for(50ms))
        for (auto& n : nodes_)
            if (is_ok(get(n->rest_port(), "/synchronous"))) return *n;
    give_up("no synchronous replica");
}

void patroni::ctl(std::vector<std::string> words) const
{
    pgcoro::testing::command tool;
    tool.argv = {test::installed("patronictl").string(), "-c", nodes_.front()->configuration()};
    tool.argv.insert(tool.argv.end(), words.begin(), words.end());
    tool.environment = {"LC_ALL=C.UTF-8", "HOME=/tmp"};
    auto done = pgcoro::testing::run(tool, "", limit);
    if (!done.succeeded())
        throw std::runtime_error("patronictl " + words.front() + " failed: " + done.out + done.err);
}

} // namespace failover
