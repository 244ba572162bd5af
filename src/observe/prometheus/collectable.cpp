#include <pgcoro/observe/prometheus.hpp>

#include <prometheus/metric_type.h>

#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace pgcoro
{

namespace
{

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

// Recommended for durations of database operations by OpenTelemetry's semantic conventions.
constexpr std::array<double, 9> limits{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10};

class family
{
public:
    family(const char* name, const char* help, MetricType type)
    {
        made_.name = name;
        made_.help = help;
        made_.type = type;
    }

    void value(labels l, double v)
    {
        ClientMetric m;
        if (made_.type == MetricType::Counter)
            m.counter.value = v;
        else
            m.gauge.value = v;
        add(std::move(l), std::move(m));
    }
    void value(labels l, std::uint64_t v) { value(std::move(l), static_cast<double>(v)); }

    void distribution(labels l, const histogram& h)
    {
        ClientMetric m;
        auto& out = m.histogram;
        for (auto limit : limits) {
            auto ns =
                std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(limit));
            out.bucket.push_back({h.count_upto(ns), limit});
        }
        auto all = h.count_upto(histogram::duration::max());
        out.bucket.push_back({all, std::numeric_limits<double>::infinity()});
        out.sample_count = all;
        out.sample_sum = std::chrono::duration<double>(h.sum()).count();
        add(std::move(l), std::move(m));
    }

    void quantiles(labels l, const duration_figures& f)
    {
        ClientMetric m;
        m.summary.sample_count = f.count;
        m.summary.sample_sum = f.sum;
        m.summary.quantile = {{0.5, f.p50}, {0.95, f.p95}, {0.99, f.p99}, {0.999, f.p999}};
        add(std::move(l), std::move(m));
    }

    void move_to(std::vector<MetricFamily>& all)
    {
        if (!made_.metric.empty()) all.push_back(std::move(made_));
    }

private:
    void add(labels l, ClientMetric m)
    {
        m.label = std::move(l);
        made_.metric.push_back(std::move(m));
    }

    MetricFamily made_;
};

ClientMetric::Label system() { return {"db_system_name", "postgresql"}; }

// The longest beginning that fits and cuts no UTF-8 character apart.
std::string shortened(const std::string& text, std::size_t most)
{
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    return text.substr(0, most);
}

// The whole as its named operations and the rest, which has no name.
template <class Each>
void each_operation(const metrics_snapshot& s, Each each)
{
    histogram named;
    auto rest = s.queries;
    auto take = [](auto& from, auto n) { from -= n < from ? n : from; };
    for (auto& o : s.operations) {
        each(o);
        named.merge(o.duration.distribution);
        take(rest.waiting, o.waiting);
        take(rest.sending, o.sending);
        take(rest.server, o.server);
        take(rest.receiving, o.receiving);
        take(rest.rows, o.rows);
        take(rest.bytes_sent, o.bytes_sent);
        take(rest.bytes_received, o.bytes_received);
        for (auto& [code, n] : o.errors_by_sqlstate) take(rest.errors_by_sqlstate[code], n);
    }
    rest.name.clear();
    rest.duration.distribution = s.queries.duration.distribution.since(named);
    each(rest);
}

void add_operations(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    family duration("db_client_operation_duration_seconds", "Duration of statements.", MetricType::Histogram);
    family errors("db_client_operation_errors_total", "Statements that failed, by SQLSTATE.",
                  MetricType::Counter);
    family phases("pgcoro_operation_phase_seconds_total",
                  "Where the time of statements went: waiting for a connection, sending, server, receiving.",
                  MetricType::Counter);
    family rows("pgcoro_rows_total", "Rows returned or affected.", MetricType::Counter);
    family bytes("pgcoro_transferred_bytes_total", "Bytes of parameters sent and of values received.",
                 MetricType::Counter);
    each_operation(s, [&](const query_figures& o) {
        labels base{system(), {"db_operation_name", o.name}};
        auto with = [&](std::string name, std::string value) {
            auto l = base;
            l.push_back({std::move(name), std::move(value)});
            return l;
        };
        duration.distribution(base, o.duration.distribution);
        for (auto& [code, n] : o.errors_by_sqlstate) {
            if (n == 0) continue;
            auto l = with("db_response_status_code", code);
            l.push_back({"error_type", code.empty() ? "connection_lost" : code});
            errors.value(std::move(l), n);
        }
        phases.value(with("phase", "waiting"), o.waiting);
        phases.value(with("phase", "sending"), o.sending);
        phases.value(with("phase", "server"), o.server);
        phases.value(with("phase", "receiving"), o.receiving);
        rows.value(base, o.rows);
        bytes.value(with("direction", "sent"), o.bytes_sent);
        bytes.value(with("direction", "received"), o.bytes_received);
    });
    for (auto* f : {&duration, &errors, &phases, &rows, &bytes}) f->move_to(all);
}

void add_statements(const metrics_snapshot& s, const prometheus_options& o, std::vector<MetricFamily>& all)
{
    family duration("pgcoro_statement_duration_seconds",
                    "Duration of the most frequent kinds of statement, by fingerprint, since the start.",
                    MetricType::Summary);
    for (std::size_t i = 0; i < s.statements.size() && i < o.statements; ++i) {
        auto& f = s.statements[i];
        labels l{system(), {"db_query_summary", f.name}};
        if (o.statement_text > 0) l.push_back({"db_query_text", shortened(f.text, o.statement_text)});
        duration.quantiles(std::move(l), f.duration);
    }
    duration.move_to(all);
}

void add_pools(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    family count("db_client_connections", "Connections of the pool, by state.", MetricType::Gauge);
    family max("db_client_connection_max", "The most connections that the pool may have.", MetricType::Gauge);
    family idle_max("db_client_connection_idle_max", "The most that it keeps idle.", MetricType::Gauge);
    family idle_min("db_client_connection_idle_min", "The least that it keeps idle.", MetricType::Gauge);
    family pending("db_client_connection_pending_requests", "Callers that wait for a connection.",
                   MetricType::Gauge);
    family timeouts("db_client_connection_timeouts_total", "Callers that waited in vain.",
                    MetricType::Counter);
    family create("db_client_connection_create_time_seconds", "Time to connect and log in.",
                  MetricType::Histogram);
    family wait("db_client_connection_wait_time_seconds", "Time that callers waited for a connection.",
                MetricType::Histogram);
    family use("db_client_connection_use_time_seconds", "Time that connections were lent.",
               MetricType::Histogram);
    family opened("pgcoro_connections_created_total", "Connections opened.", MetricType::Counter);
    family failed("pgcoro_connection_failures_total", "Connections that could not be opened.",
                  MetricType::Counter);
    family closed("pgcoro_connections_closed_total", "Connections closed, by cause.", MetricType::Counter);
    for (auto& p : s.pools) {
        labels base{system(), {"db_namespace", p.database}, {"db_client_connection_pool_name", p.name}};
        auto with = [&](std::string name, std::string value) {
            auto l = base;
            l.push_back({std::move(name), std::move(value)});
            return l;
        };
        if (p.watched) {
            count.value(with("db_client_connection_state", "idle"), p.idle);
            count.value(with("db_client_connection_state", "used"), p.in_use + p.cleaning);
            max.value(base, p.size + p.max_overflow);
            idle_max.value(base, p.size);
            idle_min.value(base, std::uint64_t(0));
            pending.value(base, p.waiting);
        }
        timeouts.value(base, p.timeouts);
        create.distribution(base, p.create_time.distribution);
        wait.distribution(base, p.wait_time.distribution);
        use.distribution(base, p.use_time.distribution);
        opened.value(base, p.created);
        failed.value(base, p.create_failures);
        for (auto& [cause, n] : p.closed) closed.value(with("cause", cause), n);
    }
    for (auto* f : {&count, &max, &idle_max, &idle_min, &pending, &timeouts, &create, &wait, &use, &opened,
                    &failed, &closed})
        f->move_to(all);
}

void add_transactions(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    family active("pgcoro_transactions_active", "Transactions under way.", MetricType::Gauge);
    family ended("pgcoro_transactions_total", "Transactions that ended, by outcome.", MetricType::Counter);
    family retries("pgcoro_transaction_retries_total", "Transactions run again.", MetricType::Counter);
    family failed("pgcoro_transaction_failed_attempts_total", "Attempts that failed, by cause.",
                  MetricType::Counter);
    family duration("pgcoro_transaction_duration_seconds", "Duration of transactions with all attempts.",
                    MetricType::Histogram);
    for (auto& t : s.transactions_by_name) {
        labels base{system(), {"transaction", t.name}};
        auto with = [&](std::string name, std::string value) {
            auto l = base;
            l.push_back({std::move(name), std::move(value)});
            return l;
        };
        active.value(base, t.active);
        ended.value(with("outcome", "committed"), t.committed);
        ended.value(with("outcome", "rolled_back"), t.rolled_back);
        ended.value(with("outcome", "unknown"), t.unknown);
        retries.value(base, t.retries);
        for (auto& [cause, n] : t.failed_attempts) failed.value(with("cause", cause), n);
        duration.distribution(base, t.duration.distribution);
    }
    for (auto* f : {&active, &ended, &retries, &failed, &duration}) f->move_to(all);
}

void add_resilience(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    family state("pgcoro_circuit_breaker_state", "1 for the state that the breaker is in.",
                 MetricType::Gauge);
    family opened("pgcoro_circuit_breaker_opened_total", "How often it opened.", MetricType::Counter);
    family rejected("pgcoro_circuit_breaker_rejected_total", "Calls not let through.", MetricType::Counter);
    family tokens("pgcoro_retry_budget_tokens", "Retries that the budget allows for now.", MetricType::Gauge);
    family capacity("pgcoro_retry_budget_capacity_tokens", "Those that it allows for at most.",
                    MetricType::Gauge);
    family retries("pgcoro_retries_total", "Retries, by the class of the failure before.",
                   MetricType::Counter);
    for (auto& b : s.breakers) {
        for (auto name : {"closed", "open", "half_open"})
            state.value({{"name", b.name}, {"state", name}}, std::uint64_t(b.state == name));
        opened.value({{"name", b.name}}, b.opened);
        rejected.value({{"name", b.name}}, b.rejected);
    }
    for (auto& b : s.budgets) {
        tokens.value({{"name", b.name}}, b.available);
        capacity.value({{"name", b.name}}, b.capacity);
    }
    for (auto& [why, n] : s.retries) retries.value({system(), {"error_type", why}}, n);
    for (auto* f : {&state, &opened, &rejected, &tokens, &capacity, &retries}) f->move_to(all);
}

void add_caches(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    family requests("pgcoro_cache_requests_total", "Reads of the cache, by what came of them.",
                    MetricType::Counter);
    family entries("pgcoro_cache_entries", "Results kept.", MetricType::Gauge);
    family bytes("pgcoro_cache_bytes", "Bytes that they take.", MetricType::Gauge);
    family evictions("pgcoro_cache_evictions_total", "Results that had to go for others.",
                     MetricType::Counter);
    for (auto& c : s.caches) {
        auto count = [&](const char* outcome, std::uint64_t n) {
            requests.value({{"name", c.name}, {"outcome", outcome}}, n);
        };
        count("hit", c.hits);
        count("stale", c.stale);
        count("miss", c.misses);
        count("bypassed", c.bypassed);
        entries.value({{"name", c.name}}, c.entries);
        bytes.value({{"name", c.name}}, c.bytes);
        evictions.value({{"name", c.name}}, c.evictions);
    }
    for (auto* f : {&requests, &entries, &bytes, &evictions}) f->move_to(all);
}

void add_hosts(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    family role("pgcoro_cluster_host_role", "1 for the role that the host has.", MetricType::Gauge);
    family lag("pgcoro_cluster_host_lag_seconds", "How old what the host shows may be; none if not known.",
               MetricType::Gauge);
    family unusable("pgcoro_cluster_host_unusable",
                    "1 for a replica that serves no reads for another reason than its lag.", MetricType::Gauge);
    family used("pgcoro_cluster_host_connections", "Connections to the host, by state.", MetricType::Gauge);
    family sent("pgcoro_cluster_host_requests_total", "Statements and transactions sent to the host.",
                MetricType::Counter);
    family failed("pgcoro_cluster_host_failed_checks_total", "Checks of the host that failed.",
                  MetricType::Counter);
    for (auto& c : s.clusters)
        for (auto& h : c.hosts) {
            labels base{{"cluster", c.name}, {"host", h.name}};
            auto with = [&](const char* name, std::string value) {
                auto l = base;
                l.push_back({name, std::move(value)});
                return l;
            };
            for (auto name : {"unknown", "primary", "replica", "outdated", "unreachable"})
                role.value(with("role", name), std::uint64_t(h.role == name));
            if (h.lag) lag.value(base, *h.lag);
            unusable.value(base, std::uint64_t(!h.unusable.empty()));
            used.value(with("state", "used"), h.in_use);
            used.value(with("state", "idle"), h.idle);
            auto reads = with("kind", "read");
            reads.push_back({"policy", c.policy});
            sent.value(std::move(reads), h.reads);
            auto writes = with("kind", "write");
            writes.push_back({"policy", "primary"});
            sent.value(std::move(writes), h.writes);
            failed.value(base, h.failed_checks);
        }
    for (auto* f : {&role, &lag, &unusable, &used, &sent, &failed}) f->move_to(all);
}

void add_clusters(const metrics_snapshot& s, std::vector<MetricFamily>& all)
{
    auto count = [&](const char* name, const char* help, std::uint64_t cluster_figures::*figure) {
        family f(name, help, MetricType::Counter);
        for (auto& c : s.clusters) f.value({{"cluster", c.name}}, c.*figure);
        f.move_to(all);
    };
    count("pgcoro_cluster_failovers_total", "Times there was a primary again, the same or another.",
          &cluster_figures::failovers);
    count("pgcoro_cluster_promotions_total", "Replicas that became the primary.",
          &cluster_figures::promotions);
    count("pgcoro_cluster_waits_for_primary_total", "Callers that waited for a primary.",
          &cluster_figures::waited_for_primary);
    count("pgcoro_cluster_token_waits_total", "Reads that waited for a replica to catch up.",
          &cluster_figures::token_waits);
    count("pgcoro_cluster_token_waits_caught_up_total", "Of those, for which it did in time.",
          &cluster_figures::caught_up);
    count("pgcoro_cluster_stale_avoided_total", "Reads that the primary served for want of a fit replica.",
          &cluster_figures::stale_avoided);
    count("pgcoro_cluster_rerouted_total", "Work begun anew on another host.", &cluster_figures::rerouted);
    add_hosts(s, all);
}

} // namespace

std::vector<MetricFamily> to_prometheus(const metrics_snapshot& s, prometheus_options options)
{
    std::vector<MetricFamily> all;
    add_operations(s, all);
    add_statements(s, options, all);
    add_pools(s, all);
    add_transactions(s, all);
    add_resilience(s, all);
    add_caches(s, all);
    add_clusters(s, all);
    return all;
}

std::vector<MetricFamily> prometheus_collectable::Collect() const
{
    return to_prometheus(metrics_.snapshot(), options_);
}

} // namespace pgcoro
