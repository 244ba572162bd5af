#include "trial.hpp"

#include "chaos/impatient.hpp"
#include "chaos/under_load.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace failover
{

namespace asio = boost::asio;
using namespace std::chrono_literals;
using chaos::clock;
using chaos::in_seconds;

namespace
{

// Patroni 4's least ttl is 20 s; then a leader is elected, and promoted.
constexpr std::chrono::seconds longest_without_leader{60};
constexpr const char* application = "pgcoro_failover";

std::string address(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

asio::awaitable<pgcoro::commit_token> written_so_far(pgcoro::cluster& c)
{
    pgcoro::cluster_session session(c);
    co_await session.wrote();
    co_return session.token();
}

} // namespace

trial::trial(const patroni& p, const settings& s, std::function<void(const std::string&)> tell)
    : patroni_(p)
    , settings_(s)
    , tell_(std::move(tell))
    , rng_(s.seed)
{
    if (!s.through_haproxy) return;
    std::vector<test::haproxy::server> behind;
    for (auto& n : p.nodes()) behind.push_back({n->port(), n->rest_port()});
    proxy_.emplace(behind, 500);
}

std::string trial::hosts() const
{
    if (!proxy_) return patroni_.hosts();
    return address(proxy_->to_primary()) + "," + address(proxy_->to_replicas());
}

pgcoro::connection_options trial::connecting(const std::string& hosts) const
{
    return chaos::impatient("postgresql://postgres:" + patroni_.password() + "@" + hosts + "/postgres", application);
}

pgcoro::cluster_options trial::options() const
{
    auto o = chaos::impatient_cluster(connecting(hosts()), longest_without_leader);
    if (proxy_) o.catch_up_timeout = 0ms;
    return o;
}

void trial::suffer(const fault_kind& kind, chaos::watch& seen, chaos::findings& found)
{
    auto& old = patroni_.leader();
    auto at = clock::now();
    kind.harm(patroni_, old);
    auto& now = patroni_.leader(kind.changes_leader ? &old : nullptr);
    auto led = clock::now();
    seen.mark(led);
    without_leader_[kind.name].times.push_back(led - at);
    bool recovered =
        chaos::within(recovery_limit, [&] { return seen.last_first_success() != clock::time_point::max(); });
    std::string came = "not every caller had success again";
    auto& r = found.by_kind[kind.name];
    if (recovered) {
        auto took = std::max(seen.last_first_success() - led, clock::duration::zero());
        r.times.push_back(took);
        came = "every caller had success again after " + in_seconds(took);
    } else {
        ++r.never;
        found.complaints.push_back("not every caller had success again within " +
                                   std::to_string(recovery_limit.count()) + " s after " +
                                   std::string(kind.name));
    }
    tell_(std::string(kind.name) + " of " + old.name() + ": " + now.name() + " leads after " +
          in_seconds(led - at) + ", then " + came);
    if (kind.mend) kind.mend(patroni_, old);
    patroni_.wait_until_whole();
}

void trial::mistreat(chaos::watch& seen, chaos::findings& found)
{
    std::vector<const fault_kind*> chosen;
    for (auto& kind : all_faults())
        if (settings_.kinds.empty() || std::ranges::find(settings_.kinds, kind.name) != settings_.kinds.end())
            chosen.push_back(&kind);
    std::vector<const fault_kind*> deck;
    std::size_t done = 0;
    auto until = clock::now() + std::chrono::duration_cast<clock::duration>(settings_.duration);
    auto over = [&] { return settings_.faults > 0 ? done >= settings_.faults : clock::now() >= until; };
    for (; !over(); ++done) {
        std::this_thread::sleep_for(1s);
        if (deck.empty()) { // each kind once before any comes again
            deck = chosen;
            std::ranges::shuffle(deck, rng_);
        }
        suffer(*deck.back(), seen, found);
        deck.pop_back();
    }
}

chaos::findings trial::run()
{
    chaos::findings found;
    chaos::loop events;
    chaos::watch seen;
    std::optional<pgcoro::cluster> cluster;
    cluster.emplace(events.io().get_executor(), options());
    auto writable = connecting(proxy_ ? address(proxy_->to_primary()) : patroni_.hosts());
    writable.parameters["target_session_attrs"] = "read-write";
    chaos::load work(*cluster, writable, seen, settings_.seed, longest_without_leader);
    auto spawn = [&](auto what) { return asio::co_spawn(events.io(), std::move(what), asio::use_future); };
    chaos::get(spawn(work.open()), "making the tables");
    auto tables = chaos::get(spawn(written_so_far(*cluster)), "asking for the log's position");
    auto have_tables = [&] {
        return std::ranges::all_of(cluster->stats().hosts,
                                   [&](const pgcoro::host_stats& h) { return h.position >= tables; });
    };
    if (!chaos::within(chaos::patience, have_tables))
        throw std::runtime_error("the replicas do not get the tables");
    chaos::under_load(events, *cluster, work, seen, 2 * longest_without_leader,
                      [&] { mistreat(seen, found); });
    found.books = chaos::get(spawn(work.check()), "the check of the books");
    found.failovers = cluster->stats().failovers;
    found.take(work, seen);
    chaos::get(spawn(cluster->close(5s)), "close()");
    cluster.reset();
    events.release();
    if (!chaos::within(10s, [&] { return events.ended(); }))
        found.complaints.push_back("the I/O context still has work after the cluster is gone");
    return found;
}

} // namespace failover
