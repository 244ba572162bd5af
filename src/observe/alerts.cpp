#include <pgcoro/observe/alerts.hpp>

#include "observe/utf8.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace pgcoro
{

namespace
{

constexpr double few = 10; // statements, of which a share says nothing

alert_rule rule(const char* name, sample_figure figure, alert_severity severity, double threshold,
                double clear_at, const char* meaning)
{
    alert_rule r;
    r.name = name;
    r.meaning = meaning;
    r.figure = figure;
    r.severity = severity;
    r.above = clear_at <= threshold;
    r.threshold = threshold;
    r.clear_at = clear_at;
    return r;
}

alert_rule lasting(alert_rule r)
{
    r.raise_after = 5;
    return r;
}

alert_rule of_queries(alert_rule r)
{
    r.basis = &sample::queries;
    r.least_basis = few;
    return r;
}

bool broken_by(const alert_rule& r, double value)
{
    return r.above ? value > r.threshold : value < r.threshold;
}
bool cleared_by(const alert_rule& r, double value)
{
    return r.above ? value <= r.clear_at : value >= r.clear_at;
}

alert_severity stepped(alert_severity from, std::uint64_t steps)
{
    auto most = static_cast<std::uint64_t>(alert_severity::critical);
    return static_cast<alert_severity>(std::min(most, static_cast<std::uint64_t>(from) + steps));
}

} // namespace

std::string_view to_string(alert_severity s) noexcept
{
    switch (s) {
    case alert_severity::info:
        return "INFO";
    case alert_severity::warning:
        return "WARNING";
    case alert_severity::critical:
        return "CRITICAL";
    }
    return "UNKNOWN";
}

std::vector<alert_rule> alert_options::defaults()
{
    using enum alert_severity;
    return {
        rule("connection_use", &sample::utilization, warning, 0.8, 0.7,
             "most of the pool's connections are in use: look for leases held long, or a pool too small"),
        of_queries(rule("average_query_time", &sample::avg, warning, 1, 0.8,
                        "statements are slow on average: look at the slowest ones and at locks")),
        of_queries(rule("slow_query_rate", &sample::slow_rate, warning, 0.1, 0.08,
                        "many statements are slow: look at their plans and at locks")),
        rule("lock_wait", &sample::longest_lock_wait, warning, 1, 0.5,
             "a session waits long for a lock: look at who blocks it, and end or shorten that transaction"),
        rule("cache_hit_ratio", &sample::cache_hit_ratio, info, 0.5, 0.55,
             "the cache seldom has what is asked for: look at its size, its times and what is invalidated"),
        rule("active_transactions", &sample::transactions_active, critical, 50, 40,
             "many transactions are open at once: look for long ones and for locks"),
        of_queries(rule("error_rate", &sample::error_rate, critical, 0.1, 0.08,
                        "many statements fail: look at the errors by SQLSTATE")),
        rule("availability", &sample::availability, critical, 0.95, 0.97,
             "callers find no server: look at the server, the network, and the pool's last connect failure"),
        rule("breaker_open", &sample::breakers_open, critical, 0, 0,
             "a circuit breaker is open and refuses calls: look at what it protects from"),
        lasting(rule("replica_unusable", &sample::replicas_unusable, warning, 0, 0,
                     "a replica serves no reads: look at the hosts of the cluster for the reason")),
    };
}

std::vector<alert_rule> alert_options::strict()
{
    auto rules = defaults();
    for (auto& r : rules) {
        if (r.name != "average_query_time") continue;
        r.threshold = 0.5;
        r.clear_at = 0.4;
    }
    return rules;
}

void alert_options::validate() const
{
    for (auto& r : rules) {
        auto refuse = [&](const char* what) {
            throw std::invalid_argument("pgcoro: alert rule '" + r.name + "': " + what);
        };
        if (!r.figure) refuse("it has no figure to look at");
        if (r.above ? r.clear_at > r.threshold : r.clear_at < r.threshold)
            refuse("clear_at is on the wrong side of the threshold");
        if (r.raise_after < 1 || r.clear_after < 1) refuse("raise_after and clear_after must be 1 or more");
    }
    if (escalate_after < 0)
        throw std::invalid_argument("pgcoro: alert_options::escalate_after is " +
                                    std::to_string(escalate_after) + ": it must be 0 or more");
}

alerts::alerts(alert_options options)
    : options_((options.validate(), std::move(options)))
    , states_(options_.rules.size())
{
    for (std::size_t i = 0; i < states_.size(); ++i) {
        auto& r = options_.rules[i];
        auto& told = states_[i].told;
        told.name = detail::to_utf8(r.name);
        told.meaning = detail::to_utf8(r.meaning);
        told.severity = r.severity;
        told.threshold = r.threshold;
    }
}

void alerts::on_change(callback c)
{
    std::lock_guard lock(mutex_);
    callbacks_.push_back(std::move(c));
}

void alerts::evaluate(const sample& s)
{
    changes out;
    std::vector<callback> told;
    {
        std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < states_.size(); ++i) look(options_.rules[i], states_[i], s, out);
        if (!out.empty()) told = callbacks_;
    }
    for (auto& [what, how] : out)
        for (auto& c : told) c(what, how);
}

void alerts::look(const alert_rule& rule, state& s, const sample& at, changes& out) const
{
    auto& a = s.told;
    if (!a.active && a.count > 0 && at.time - s.last_broken > options_.forget_after) {
        a.count = a.raised = 0;
        a.severity = rule.severity;
    }
    auto value = at.*rule.figure;
    bool enough = !rule.basis || at.*rule.basis >= rule.least_basis;
    if (std::isnan(value) || !enough) return;
    a.value = value;

    bool broken = broken_by(rule, value);
    s.broken = broken ? s.broken + 1 : 0;
    s.whole = cleared_by(rule, value) ? s.whole + 1 : 0;
    if (broken) s.last_broken = at.time;

    bool raised = false;
    if (!a.active && s.broken >= rule.raise_after) {
        a.active = raised = true;
        a.since = at.time;
        a.until = 0;
        ++a.raised;
    }
    if (a.active && broken) ++a.count;
    auto before = a.severity;
    if (options_.escalate_after > 0)
        a.severity = stepped(rule.severity, a.count / static_cast<std::uint64_t>(options_.escalate_after));
    if (raised)
        out.emplace_back(a, alert_change::raised);
    else if (a.active && a.severity != before)
        out.emplace_back(a, alert_change::escalated);

    if (a.active && s.whole >= rule.clear_after) {
        a.active = false;
        a.until = at.time;
        out.emplace_back(a, alert_change::cleared);
    }
}

std::vector<alert> alerts::all() const
{
    std::vector<alert> found;
    {
        std::lock_guard lock(mutex_);
        for (auto& s : states_)
            if (s.told.active || s.told.count > 0) found.push_back(s.told);
    }
    std::stable_sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.severity > b.severity; });
    return found;
}

std::vector<alert> alerts::active() const
{
    auto found = all();
    std::erase_if(found, [](auto& a) { return !a.active; });
    return found;
}

} // namespace pgcoro
