#include "trial.hpp"

#include "testing/process.hpp"
#include "under_load.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <optional>

namespace chaos
{

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace
{

constexpr std::chrono::milliseconds transfer_limit{15'000};
constexpr std::chrono::milliseconds machine_slack{2'000}; // this program and the servers share it

bool at_rest(const pgcoro::cluster& c)
{
    return std::ranges::all_of(c.stats().hosts, [](const pgcoro::host_stats& h) {
        auto& p = h.connections;
        return p.in_use == 0 && p.cleaning == 0 && p.connecting == 0 && p.waiting == 0;
    });
}

// What the layer says it has open: its pools' connections, and one a host to ask for its role.
std::size_t connections_told(const pgcoro::cluster& c)
{
    std::size_t all = 0;
    for (auto& h : c.stats().hosts) all += h.connections.idle + 1;
    return all;
}

} // namespace

trial::trial(world& w, const settings& s, std::function<void(const std::string&)> tell)
    : world_(w)
    , settings_(s)
    , tell_(std::move(tell))
    , rng_(s.seed)
{}

std::chrono::milliseconds trial::bound(work kind, const pgcoro::cluster_options& o)
{
    // transaction_options::timeout: an unknown outcome may take 5 s beyond it.
    if (kind == work::transfer || kind == work::append) return transfer_limit + 5s + machine_slack;
    // A host, its connection, and the answer; then the same on the other host.
    auto& c = o.pool.connection;
    return o.failover_timeout + 2 * (o.pool.acquire_timeout + c.statement_timeout + c.response_grace) +
           machine_slack;
}

void trial::suffer(const fault_kind& kind, watch& seen, findings& found)
{
    auto at = clock::now();
    tell_(in_seconds(at - begun_) + "  " + std::string(kind.name));
    try {
        kind.harm(world_, rng_);
    } catch (...) {
        for (auto* h : {&world_.primary(), &world_.replica()})
            tell_("the log at " + h->name() + " ends with:\n" + pgcoro::testing::tail(h->log(), 40));
        throw;
    }
    auto over = clock::now();
    seen.mark(over);
    bool recovered =
        within(recovery_limit, [&] { return seen.last_first_success() != clock::time_point::max(); });
    auto& r = found.by_kind[kind.name];
    if (recovered) {
        auto took = std::max(seen.last_first_success() - over, clock::duration::zero());
        r.times.push_back(took);
        tell_("         lasted " + in_seconds(over - at) + ", every caller had success again after " +
              in_seconds(took));
    } else {
        ++r.never;
        found.complaints.push_back("not every caller had success again within " +
                                   std::to_string(recovery_limit.count()) + " s after " +
                                   std::string(kind.name));
    }
}

void trial::mistreat(const std::vector<const fault_kind*>& kinds, watch& seen, findings& found)
{
    auto until = begun_ + std::chrono::duration_cast<clock::duration>(settings_.duration);
    std::vector<const fault_kind*> deck;
    std::size_t done = 0;
    auto over = [&] { return settings_.faults > 0 ? done >= settings_.faults : clock::now() >= until; };
    while (!over()) {
        std::this_thread::sleep_for(settings_.quiet);
        if (kinds.empty()) continue;
        if (deck.empty()) { // each kind once before any comes again
            deck = kinds;
            std::ranges::shuffle(deck, rng_);
        }
        suffer(*deck.back(), seen, found);
        deck.pop_back();
        ++done;
    }
}

findings trial::run(const std::vector<const fault_kind*>& kinds)
{
    findings found;
    begun_ = clock::now();
    loop events;
    watch seen;
    auto options = world_.cluster_options();
    std::optional<pgcoro::cluster> cluster;
    cluster.emplace(events.io().get_executor(), options);
    load work(*cluster, world_.writable(), seen, settings_.seed, transfer_limit);
    auto spawn = [&](auto what) { return asio::co_spawn(events.io(), std::move(what), asio::use_future); };
    get(spawn(work.open()), "making the tables");
    world_.replica().server().catch_up_with(world_.primary().server());
    under_load(events, *cluster, work, seen, patience, [&] { mistreat(kinds, seen, found); });
    found.books = get(spawn(work.check()), "the check of the books");

    auto complain = [&](std::string what) { found.complaints.push_back(std::move(what)); };
    found.take(work, seen);
    // Of those callers who failed it was a cleanup, or a connect for nobody, that may go on for a while.
    if (!within(10s, [&] { return at_rest(*cluster); }))
        complain("the pools do not come to rest:" + figures(*cluster));
    std::size_t at_servers = 0;
    bool agree = within(10s, [&] { return (at_servers = world_.sessions()) == connections_told(*cluster); });
    if (!agree)
        complain("the servers have " + std::to_string(at_servers) +
                 " sessions of the layer's, which knows of " + std::to_string(connections_told(*cluster)) +
                 ":" + figures(*cluster));
    found.failovers = cluster->stats().failovers;
    get(spawn(cluster->close(5s)), "close()");
    cluster.reset();
    events.release();
    if (!within(10s, [&] { return events.ended(); }))
        complain("the I/O context still has work after the cluster is gone");
    if (!within(10s, [&] { return world_.sessions() == 0; }))
        complain(std::to_string(world_.sessions()) + " sessions at the servers after the cluster is gone");

    for (std::size_t i = 0; i < works; ++i) {
        auto kind = static_cast<chaos::work>(i);
        auto limit = bound(kind, options);
        if (found.work[i].longest > limit)
            complain(std::string("a ") + to_string(kind) + " lasted " + in_seconds(found.work[i].longest) +
                     ", longer than its bound of " + in_seconds(limit));
    }
    return found;
}

} // namespace chaos
