#include "monitor/watched.hpp"

#include "monitor/assets.hpp"
#include "observe/json_text.hpp"

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/error/error.hpp>

#ifdef PGCORO_MONITOR_PROMETHEUS
#include <pgcoro/observe/prometheus.hpp>

#include <prometheus/text_serializer.h>
#endif

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/value_from.hpp>

namespace pgcoro::detail
{

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

namespace
{

constexpr std::string_view tables_sql = R"(
    select t.name, to_regclass(t.name) is not null as "exists",
           coalesce((select reltuples::bigint from pg_class where oid = to_regclass(t.name)), 0) as rows
    from unnest($1::text[]) with ordinality t(name, nth) order by t.nth)";

answer of_json(json::value v)
{
    answer a;
    a.body = json_text(std::move(v));
    return a;
}

answer of_text(std::string_view text, const char* type)
{
    answer a;
    a.type = type;
    a.body = text;
    return a;
}

answer prometheus_text(const metrics& m)
{
#ifdef PGCORO_MONITOR_PROMETHEUS
    return of_text(prometheus::TextSerializer().Serialize(to_prometheus(m.snapshot())),
                   "text/plain; version=0.0.4; charset=utf-8");
#else
    static_cast<void>(m);
    throw problem(http::status::not_implemented, "this pgcoro was built without prometheus-cpp");
#endif
}

} // namespace

asio::awaitable<answer> watched::ask(const api_call& c)
{
    bool asks_the_database = c.what == resource::health || c.what == resource::health_detailed ||
                             c.what == resource::database_health;
    if (!asks_the_database) co_return figures(c);
    auto a = co_await health(c.what);
    co_return a;
}

answer watched::figures(const api_call& c)
{
    auto& s = sources_;
    switch (c.what) {
    case resource::page:
        return of_text(assets::page, "text/html; charset=utf-8");
    case resource::script:
        return of_text(assets::script, "text/javascript; charset=utf-8");
    case resource::style:
        return of_text(assets::style, "text/css; charset=utf-8");
    case resource::charts:
        return of_text(assets::charts, "text/javascript; charset=utf-8");
    case resource::description:
        return of_text(assets::description, "application/json");
    case resource::database_metrics:
        return of_json(database_metrics_json(s.metrics->snapshot()));
    case resource::dashboard:
        return of_text(*dashboard(), "application/json");
    case resource::current:
        return of_json(json::value_from(s.metrics->snapshot()));
    case resource::history:
        return of_json(history_json(s.history, c, s.metrics->snapshot().time));
    case resource::connections:
        return of_json(connections_json(s.metrics->snapshot(), s.sampler));
    case resource::cache:
        return of_json(cache_json(s.cache));
    case resource::transactions:
        return of_json(transactions_json(s.metrics->snapshot()));
    case resource::alerts:
        return of_json(alerts_json(s.alerts));
    case resource::prometheus:
        return prometheus_text(*s.metrics);
    default:
        return invalidate(c);
    }
}

answer watched::invalidate(const api_call& c)
{
    auto* cache = sources_.cache;
    if (!cache) throw problem(http::status::not_found, "this monitor was given no cache");
    auto before = cache->stats().invalidations;
    if (c.what == resource::invalidate_tag)
        cache->invalidate_tag(c.value);
    else if (c.what == resource::invalidate_pattern)
        cache->invalidate_tags_like(c.value);
    else
        cache->invalidate_all();
    return of_json(json::object{{"success", true}, {"invalidations", cache->stats().invalidations - before}});
}

std::shared_ptr<const std::string> watched::dashboard()
{
    std::lock_guard lock(mutex_);
    if (!dashboard_ || !fresh(dashboard_made_)) {
        auto now = sources_.metrics->snapshot();
        auto report = judge(now, checked_ ? &*checked_ : nullptr);
        dashboard_ = std::make_shared<const std::string>(json_text(dashboard_json(sources_, now, report)));
        dashboard_made_ = clock::now();
    }
    return dashboard_;
}

health_report watched::judge(const metrics_snapshot& m, const health_check* checked) const
{
    auto server = sources_.sampler ? sources_.sampler->server() : nullptr;
    health_inputs in{.check = checked, .metrics = &m, .raised = sources_.alerts, .server = server.get()};
    return assess(in);
}

// One at a time asks the database; who comes meanwhile gets what was known before, if anything was.
asio::awaitable<std::optional<health_check>> watched::check()
{
    if (!sources_.pool) co_return std::nullopt;
    {
        std::lock_guard lock(mutex_);
        if (checked_ && (checking_ || fresh(checked_at_))) co_return checked_;
        checking_ = true;
    }
    struct ending
    {
        watched& of;
        ~ending()
        {
            std::lock_guard lock(of.mutex_);
            of.checking_ = false;
        }
    } end{*this};
    auto found = co_await check_health(*sources_.pool, options_.check_within);
    std::lock_guard lock(mutex_);
    checked_ = found;
    checked_at_ = clock::now();
    co_return checked_;
}

namespace
{

asio::awaitable<void> ask_for_tables(pool& p, const monitor_options& o, std::vector<needed_table>& tables,
                                     std::string& failure)
{
    try {
        auto held = co_await p.acquire(o.check_within);
        held->name_operation("pgcoro monitor");
        tables = co_await held->query_as<needed_table>(tables_sql, o.tables);
    } catch (const error& e) {
        failure = e.what();
    }
}

} // namespace

// Without the database's answer what is missing is not known, and the check has said so.
asio::awaitable<void> watched::look_at_tables(std::vector<needed_table>& tables, health_report& report)
{
    if (options_.tables.empty() || !sources_.pool) co_return;
    using namespace asio::experimental::awaitable_operators;
    std::string failure;
    asio::steady_timer timer(co_await asio::this_coro::executor, 2 * options_.check_within);
    auto asking = ask_for_tables(*sources_.pool, options_, tables, failure);
    auto waiting = timer.async_wait(asio::use_awaitable);
    auto both = std::move(asking) || std::move(waiting);
    auto which = co_await std::move(both);
    if (which.index() == 1) failure = "no answer within monitor_options::check_within";
    if (!failure.empty())
        report.findings.push_back({"the tables could not be looked at", alert_severity::warning, failure,
                                   "look at monitor_options::tables, and at what this role may read"});
    for (auto& each : tables) {
        if (each.exists) continue;
        report.findings.insert(report.findings.begin(),
                               {"a table is missing", alert_severity::critical, each.name,
                                "migrate the database, or look at search_path and at the role's privileges"});
        report.status = health_status::unhealthy;
        report.score = 0;
    }
}

asio::awaitable<answer> watched::health(resource what)
{
    auto checked = co_await check();
    auto* last = checked ? &*checked : nullptr;
    auto now = sources_.metrics->snapshot();
    auto report = judge(now, last);
    bool serves = last ? last->healthy : report.status != health_status::unhealthy;
    json::object body;
    if (what == resource::health_detailed) {
        std::vector<needed_table> tables;
        if (serves) co_await look_at_tables(tables, report);
        body = health_detailed_json(now, last, tables, report);
    } else if (what == resource::database_health) {
        body = health_json(last, report);
    } else {
        body = {{"status", to_string(report.status)}};
    }
    auto a = of_json(std::move(body));
    if (!serves) a.status = http::status::service_unavailable;
    co_return a;
}

} // namespace pgcoro::detail
