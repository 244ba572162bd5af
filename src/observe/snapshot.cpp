// All threads' figures added up.
#include "observe/labels.hpp"
#include "observe/metrics_impl.hpp"
#include "observe/seconds.hpp"
#include "observe/utf8.hpp"

#include <algorithm>

namespace pgcoro
{

namespace
{

using detail::seconds;

// What is kept of a series while it is added up: nanoseconds.
struct query_sum
{
    query_figures figures;
    histogram duration;
    std::uint64_t waiting = 0;
    std::uint64_t sending = 0;
    std::uint64_t server = 0;
    std::uint64_t receiving = 0;

    void add(const detail::query_cell& c)
    {
        c.duration.add_to(duration);
        figures.errors += c.errors.get();
        figures.slow += c.slow.get();
        waiting += c.waiting.get();
        sending += c.sending.get();
        server += c.server.get();
        receiving += c.receiving.get();
        figures.rows += c.rows.get();
        figures.bytes_sent += c.bytes_sent.get();
        figures.bytes_received += c.bytes_received.get();
        figures.repeated += c.repeated.get();
        figures.longest_loop = std::max(figures.longest_loop, c.longest_loop.get());
        std::lock_guard lock(c.mutex);
        for (auto& [code, n] : c.by_sqlstate) {
            figures.errors_by_sqlstate[code] += n;
            figures.errors_by_class[std::string(detail::class_label(code))] += n;
        }
    }

    void add(const query_sum& other)
    {
        auto& f = other.figures;
        duration.merge(other.duration);
        figures.errors += f.errors;
        figures.slow += f.slow;
        waiting += other.waiting;
        sending += other.sending;
        server += other.server;
        receiving += other.receiving;
        figures.rows += f.rows;
        figures.bytes_sent += f.bytes_sent;
        figures.bytes_received += f.bytes_received;
        figures.repeated += f.repeated;
        figures.longest_loop = std::max(figures.longest_loop, f.longest_loop);
        for (auto& [code, n] : f.errors_by_sqlstate) figures.errors_by_sqlstate[code] += n;
        for (auto& [name, n] : f.errors_by_class) figures.errors_by_class[name] += n;
    }

    query_figures finish()
    {
        constexpr double nano = 1e-9;
        auto& f = figures;
        f.count = duration.count();
        if (f.count > 0) f.error_rate = static_cast<double>(f.errors) / static_cast<double>(f.count);
        f.waiting = nano * static_cast<double>(waiting);
        f.sending = nano * static_cast<double>(sending);
        f.server = nano * static_cast<double>(server);
        f.receiving = nano * static_cast<double>(receiving);
        f.duration = duration_figures::of(std::move(duration));
        return std::move(f);
    }
};

struct transaction_sum
{
    transaction_figures figures;
    histogram duration;
    std::uint64_t begun = 0;
    std::uint64_t waiting = 0;

    void add(const detail::transaction_cell& c)
    {
        // Ended before begun: who ends in between two looks is not active, rather than less than none.
        figures.committed += c.committed.get();
        figures.rolled_back += c.rolled_back.get();
        figures.unknown += c.unknown.get();
        begun += c.begun.get();
        figures.commits_resolved += c.resolved.get();
        figures.attempts += c.attempts.get();
        figures.retries += c.retries.get();
        auto failed = [&](const char* why, const detail::counter& n) {
            if (n.get() > 0) figures.failed_attempts[why] += n.get();
        };
        failed("serialization_failure", c.serialization_failures);
        failed("deadlock", c.deadlocks);
        failed("connection_lost", c.connections_lost);
        failed("other", c.other_failures);
        waiting += c.waiting.get();
        c.duration.add_to(duration);
    }

    transaction_figures finish()
    {
        auto& f = figures;
        auto ended = f.committed + f.rolled_back + f.unknown;
        f.active = begun - std::min(begun, ended);
        f.waiting = 1e-9 * static_cast<double>(waiting);
        f.duration = duration_figures::of(std::move(duration));
        return std::move(f);
    }
};

struct pool_sum
{
    pool_figures figures;
    histogram wait;
    histogram use;
    histogram create;

    void add(const detail::pool_cell& c)
    {
        figures.acquired += c.acquired.get();
        figures.queued += c.queued.get();
        figures.created += c.created.get();
        figures.create_failures += c.create_failures.get();
        figures.cleanups += c.cleanups.get();
        figures.leaks += c.leaks.get();
        for (std::size_t i = 0; i < c.closed.size(); ++i)
            if (auto n = c.closed[i].get())
                figures.closed[std::string(to_string(static_cast<close_reason>(i)))] += n;
        c.wait.add_to(wait);
        c.use.add_to(use);
        c.create.add_to(create);
        std::lock_guard lock(c.mutex);
        for (auto& [why, n] : c.refused) figures.refused[why] += n;
    }

    pool_figures finish()
    {
        auto timeouts = figures.refused.find("timeout");
        if (timeouts != figures.refused.end()) figures.timeouts = timeouts->second;
        figures.wait_time = duration_figures::of(std::move(wait));
        figures.use_time = duration_figures::of(std::move(use));
        figures.create_time = duration_figures::of(std::move(create));
        return std::move(figures);
    }
};

using all_shards = std::vector<std::shared_ptr<const detail::shard>>;

// One sum a name that anybody counted under, each with its name and text.
template <class Sum, class Cell>
std::vector<Sum> add_up(const all_shards& all, const detail::series<Cell> detail::shard::*series,
                        const detail::series_names& names)
{
    std::vector<Sum> sums;
    auto known = names.all();
    for (std::size_t i = 0; i < names.capacity(); ++i) {
        Sum sum;
        bool any = false;
        for (auto& s : all) {
            auto* cell = ((*s).*series).find(i);
            if (!cell) continue;
            any = true;
            sum.add(*cell);
        }
        if (!any) continue;
        bool named = i < known.size();
        sum.figures.name = named ? known[i].name : "other";
        if constexpr (requires { sum.figures.text; })
            if (named) sum.figures.text = known[i].text;
        sums.push_back(std::move(sum));
    }
    return sums;
}

template <class Figures, class Sum>
std::vector<Figures> finished(std::vector<Sum> sums)
{
    std::vector<Figures> all;
    all.reserve(sums.size());
    for (auto& s : sums) all.push_back(s.finish());
    std::stable_sort(all.begin(), all.end(),
                     [](const Figures& a, const Figures& b) { return a.duration.count > b.duration.count; });
    return all;
}

cache_figures cache_figures_of(const std::string& name, const cache_stats& s)
{
    auto answered = s.hits + s.stale;
    auto asked = answered + s.misses;
    auto ratio = asked > 0 ? static_cast<double>(answered) / static_cast<double>(asked) : 0;
    return {name,     s.entries,  s.bytes,     s.hits,          s.stale,
            s.misses, s.bypassed, s.evictions, s.invalidations, ratio};
}

cluster_figures cluster_figures_of(const std::string& name, const std::string& policy, const cluster_stats& s)
{
    cluster_figures f;
    f.name = name;
    f.policy = policy;
    for (auto& h : s.hosts) {
        host_figures host;
        host.name = detail::to_utf8(h.name);
        host.role = to_string(h.role);
        if (h.lag) host.lag = seconds(*h.lag);
        host.latency = seconds(h.latency);
        host.reads = h.reads;
        host.writes = h.writes;
        host.failed_checks = h.failed_checks;
        host.last_failure = detail::to_utf8(h.last_failure);
        host.unusable = detail::to_utf8(h.unusable);
        host.in_use = h.connections.in_use;
        host.idle = h.connections.idle;
        host.waiting = h.connections.waiting;
        f.hosts.push_back(std::move(host));
    }
    f.failovers = s.failovers;
    f.promotions = s.promotions;
    f.waited_for_primary = s.waited_for_primary;
    f.token_waits = s.token_waits;
    f.caught_up = s.caught_up;
    f.stale_avoided = s.stale_avoided;
    f.rerouted = s.rerouted;
    return f;
}

} // namespace

duration_figures duration_figures::of(histogram h)
{
    duration_figures f;
    f.count = h.count();
    f.sum = seconds(h.sum());
    f.min = seconds(h.min());
    f.avg = f.count > 0 ? f.sum / static_cast<double>(f.count) : 0;
    f.max = seconds(h.max());
    f.p50 = seconds(h.quantile(0.5));
    f.p95 = seconds(h.quantile(0.95));
    f.p99 = seconds(h.quantile(0.99));
    f.p999 = seconds(h.quantile(0.999));
    f.distribution = std::move(h);
    return f;
}

metrics_snapshot metrics::snapshot() const
{
    metrics_snapshot out;
    out.time = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    out.uptime = seconds(std::chrono::steady_clock::now() - impl_->begun);
    auto all = impl_->all.all();
    auto& names = impl_->names;

    auto statements = add_up<query_sum>(all, &detail::shard::statements, names.statements);
    query_sum whole;
    for (auto& s : statements) whole.add(s);
    whole.figures.name = "all";
    out.queries = whole.finish();
    if (impl_->options.by_statement) out.statements = finished<query_figures>(std::move(statements));
    out.operations =
        finished<query_figures>(add_up<query_sum>(all, &detail::shard::operations, names.operations));

    transaction_sum transactions;
    for (auto& s : all)
        for (std::size_t i = 0; i < names.transactions.capacity(); ++i)
            if (auto* cell = s->transactions.find(i)) transactions.add(*cell);
    transactions.figures.name = "all";
    out.transactions = transactions.finish();
    out.transactions_by_name = finished<transaction_figures>(
        add_up<transaction_sum>(all, &detail::shard::transactions, names.transactions));

    for (auto& p : add_up<pool_sum>(all, &detail::shard::pools, names.pools)) out.pools.push_back(p.finish());
    for (auto& s : all) {
        std::lock_guard lock(s->mutex);
        for (auto& [why, n] : s->retries) out.retries[why] += n;
    }
    impl_->add_state(out);
    return out;
}

// What is asked of those that are watched.
void metrics::impl::add_state(metrics_snapshot& to) const
{
    std::lock_guard lock(mutex);
    for (auto& w : pools) {
        auto now = w.probe();
        if (!now) continue;
        auto it = std::find_if(to.pools.begin(), to.pools.end(), [&](auto& p) { return p.name == w.name; });
        if (it == to.pools.end()) {
            it = to.pools.insert(to.pools.end(), pool_figures());
            it->name = w.name;
        }
        // Several pools of one name are added up.
        it->watched = true;
        it->database = w.database;
        it->size += w.size;
        it->max_overflow += w.max_overflow;
        it->open += now->idle + now->in_use + now->cleaning;
        it->in_use += now->in_use;
        it->idle += now->idle;
        it->overflow += now->overflow;
        it->connecting += now->connecting;
        it->cleaning += now->cleaning;
        it->waiting += now->waiting;
        it->utilization = static_cast<double>(it->in_use) / static_cast<double>(it->size + it->max_overflow);
        if (!now->last_connect_failure.empty())
            it->last_connect_failure = detail::to_utf8(now->last_connect_failure);
    }
    auto known = breakers;
    for (auto* b : watched_breakers) {
        auto name = detail::to_utf8(b->options().name);
        auto& f = known[name];
        auto now = b->status();
        f.name = std::move(name);
        f.state = to_string(now.state);
        f.opened = now.opened;
        f.rejected = now.rejected;
        f.window_calls = static_cast<std::uint64_t>(now.calls);
        f.window_failures = static_cast<std::uint64_t>(now.failures);
    }
    for (auto& [name, f] : known) to.breakers.push_back(f);
    for (auto& [name, b] : budgets) to.budgets.push_back({name, b->available(), b->options().capacity});
    for (auto& [name, c] : caches) to.caches.push_back(cache_figures_of(name, c->stats()));
    for (auto& w : clusters)
        if (auto now = w.probe()) to.clusters.push_back(cluster_figures_of(w.name, w.policy, *now));
}

} // namespace pgcoro
