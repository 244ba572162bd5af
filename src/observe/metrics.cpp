// What is told is counted, in the telling thread's own memory.
#include "observe/labels.hpp"
#include "observe/metrics_impl.hpp"
#include "observe/utf8.hpp"
#include "sql/normalized.hpp"

#include <charconv>
#include <new>
#include <stdexcept>

namespace pgcoro
{

namespace
{

constexpr std::size_t longest_text = 16 * 1024; // what is longer is not parsed, and not remembered
constexpr std::size_t most_known_names = 10'000;

std::uint64_t ns(std::chrono::nanoseconds time) noexcept
{
    return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
}

std::string nothing() { return {}; }

std::string in_hex(std::uint64_t number)
{
    char digits[16];
    auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
    std::string text(digits, end);
    return std::string(sizeof digits - text.size(), '0') + text;
}

void count(detail::query_cell& c, const query_event& e, std::chrono::nanoseconds slow)
{
    c.duration.record(e.duration);
    if (e.duration > slow) c.slow.add();
    if (e.waited.count() > 0) c.waiting.add(ns(e.waited));
    c.sending.add(ns(e.sending));
    c.server.add(ns(e.server));
    c.receiving.add(ns(e.receiving));
    c.rows.add(e.rows);
    c.bytes_sent.add(e.bytes_sent);
    c.bytes_received.add(e.bytes_received);
    if (e.repeats > 1) {
        c.repeated.add();
        c.longest_loop.raise_to(e.repeats);
    }
    if (e.sqlstate == "00000") return;
    c.errors.add();
    std::lock_guard lock(c.mutex);
    ++c.by_sqlstate[detail::to_utf8(e.sqlstate)];
}

void count(detail::transaction_cell& c, const transaction_event& e)
{
    switch (e.outcome) {
    case transaction_outcome::committed:
    case transaction_outcome::prepared: // who ends it is not seen any more
        c.committed.add();
        break;
    case transaction_outcome::rolled_back:
        c.rolled_back.add();
        break;
    case transaction_outcome::unknown:
        c.unknown.add();
        break;
    }
    if (e.commit_resolved) c.resolved.add();
    c.attempts.add(static_cast<std::uint64_t>(e.attempts));
    if (e.attempts > 1) c.retries.add(static_cast<std::uint64_t>(e.attempts - 1));
    c.serialization_failures.add(e.serialization_failures);
    c.deadlocks.add(e.deadlocks);
    c.connections_lost.add(e.connections_lost);
    c.other_failures.add(e.other_failures);
    c.waiting.add(ns(e.waiting));
    c.duration.record(e.duration);
}

// Counts with this thread's shard; what there is no memory for is not counted.
template <class Count>
void with(detail::shards& all, Count what) noexcept
{
    try {
        what(all.mine());
    } catch (...) {
    }
}

detail::query_cell& statement(detail::shard& s, detail::catalog& names, const metrics_options& o,
                              std::string_view text)
{
    if (!o.by_statement || text.size() > longest_text) return s.statements.at(names.statements.other());
    return s.statements.at(s.known_statements.number_of(text, o.max_texts, [&] {
        auto known = sql::normalize(text);
        if (!known) return names.statements.other();
        return names.statements.number_of(in_hex(known->id), [&] { return std::move(known->text); });
    }));
}

template <class Cell>
Cell& named(detail::series<Cell>& cells, detail::known_names& known, detail::series_names& names,
            std::string_view name)
{
    return cells.at(known.number_of(name, most_known_names, [&] { return names.number_of(name, nothing); }));
}

detail::pool_cell& pool_of(detail::shard& s, detail::catalog& names, std::string_view name)
{
    return named(s.pools, s.known_pools, names.pools, name);
}

detail::transaction_cell& transaction_of(detail::shard& s, detail::catalog& names, std::string_view name)
{
    return named(s.transactions, s.known_transactions, names.transactions, name);
}

} // namespace

void metrics_options::validate() const
{
    auto refuse = [](const char* option, auto value, const char* range) {
        throw std::invalid_argument(std::string("pgcoro: metrics_options::") + option + " is " +
                                    std::to_string(value) + ": it must be " + range);
    };
    if (slow_query.count() <= 0) refuse("slow_query", slow_query.count(), "1 ms or more");
    if (max_series < 1 || max_series > 100'000) refuse("max_series", max_series, "1 to 100,000");
    if (max_texts < 1) refuse("max_texts", max_texts, "1 or more");
}

metrics::metrics(metrics_options options)
    : impl_(std::make_shared<impl>((options.validate(), std::move(options))))
{}

metrics::~metrics() = default;

const metrics_options& metrics::options() const noexcept { return impl_->options; }

void metrics::watch(const pool& p)
{
    auto& o = p.options();
    auto database = o.connection.parameters.find("dbname");
    impl::watched_pool w{detail::to_utf8(o.name),
                         database == o.connection.parameters.end() ? "" : detail::to_utf8(database->second),
                         o.size, o.max_overflow, p.probe()};
    std::lock_guard lock(impl_->mutex);
    std::erase_if(impl_->pools, [&](auto& other) { return !other.probe(); });
    impl_->pools.push_back(std::move(w));
}

void metrics::watch(const cluster& c)
{
    auto& o = c.options();
    std::lock_guard lock(impl_->mutex);
    std::erase_if(impl_->clusters, [&](auto& other) { return !other.probe(); });
    impl_->clusters.push_back({detail::to_utf8(o.pool.name), std::string(to_string(o.reads)), c.probe()});
}

// Kept in the list until what this gives is gone.
template <class T>
metrics::watching metrics::keep(std::list<T> impl::*list, T watched)
{
    std::lock_guard lock(impl_->mutex);
    auto& all = (*impl_).*list;
    auto it = all.insert(all.end(), std::move(watched));
    watching w;
    w.held_ = std::shared_ptr<const void>(&*it, [self = impl_, list, it](const void*) {
        std::lock_guard again(self->mutex);
        ((*self).*list).erase(it);
    });
    return w;
}

metrics::watching metrics::watch(const circuit_breaker& b) { return keep(&impl::watched_breakers, &b); }

metrics::watching metrics::watch(std::string name, retry_budget& b)
{
    return keep(&impl::budgets, {detail::to_utf8(name), &b});
}

metrics::watching metrics::watch(std::string name, const query_cache& c)
{
    return keep(&impl::caches, {detail::to_utf8(name), &c});
}

void metrics::on_query(const query_event& e) noexcept
{
    auto& o = impl_->options;
    auto& names = impl_->names;
    with(impl_->all, [&](detail::shard& s) {
        count(statement(s, names, o, e.sql), e, o.slow_query);
        if (!e.operation.empty())
            count(named(s.operations, s.known_operations, names.operations, e.operation), e, o.slow_query);
    });
    if (o.next) o.next->on_query(e);
}

void metrics::on_notice(const notice_event& e) noexcept
{
    if (auto* next = impl_->options.next) next->on_notice(e);
}

void metrics::on_connect(const connect_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) {
        auto& c = pool_of(s, impl_->names, e.pool);
        if (e.failure) return c.create_failures.add();
        c.created.add();
        c.create.record(e.duration);
    });
    if (auto* next = impl_->options.next) next->on_connect(e);
}

void metrics::on_disconnect(const disconnect_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) {
        pool_of(s, impl_->names, e.pool).closed[static_cast<std::size_t>(e.reason)].add();
    });
    if (auto* next = impl_->options.next) next->on_disconnect(e);
}

void metrics::on_acquire(const acquire_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) {
        auto& c = pool_of(s, impl_->names, e.pool);
        c.acquired.add();
        if (e.queued) c.queued.add();
        c.wait.record(e.waited);
    });
    if (auto* next = impl_->options.next) next->on_acquire(e);
}

void metrics::on_acquire_failed(const acquire_failed_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) {
        auto& c = pool_of(s, impl_->names, e.pool);
        std::lock_guard lock(c.mutex);
        ++c.refused[detail::to_utf8(e.why)];
    });
    if (auto* next = impl_->options.next) next->on_acquire_failed(e);
}

void metrics::on_release(const release_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) {
        auto& c = pool_of(s, impl_->names, e.pool);
        c.use.record(e.held);
        if (e.dirty) c.cleanups.add();
    });
    if (auto* next = impl_->options.next) next->on_release(e);
}

void metrics::on_leak(const leak_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) { pool_of(s, impl_->names, e.pool).leaks.add(); });
    if (auto* next = impl_->options.next) next->on_leak(e);
}

void metrics::on_retry(const retry_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) {
        auto cause = e.sqlstate.empty() ? std::string_view("no_sqlstate") : detail::class_label(e.sqlstate);
        std::lock_guard lock(s.mutex);
        ++s.retries[std::string(cause)];
    });
    if (auto* next = impl_->options.next) next->on_retry(e);
}

void metrics::on_transaction_begin(const transaction_begin_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) { transaction_of(s, impl_->names, e.name).begun.add(); });
    if (auto* next = impl_->options.next) next->on_transaction_begin(e);
}

void metrics::on_transaction(const transaction_event& e) noexcept
{
    with(impl_->all, [&](detail::shard& s) { count(transaction_of(s, impl_->names, e.name), e); });
    if (auto* next = impl_->options.next) next->on_transaction(e);
}

void metrics::on_long_transaction(const long_transaction_event& e) noexcept
{
    if (auto* next = impl_->options.next) next->on_long_transaction(e);
}

void metrics::on_role(const role_event& e) noexcept
{
    if (auto* next = impl_->options.next) next->on_role(e);
}

void metrics::on_failover(const failover_event& e) noexcept
{
    if (auto* next = impl_->options.next) next->on_failover(e);
}

bool metrics::wants_spans() const noexcept
{
    auto* next = impl_->options.next;
    return next && next->wants_spans();
}

void metrics::on_span_begin(span_begin& s) noexcept
{
    if (auto* next = impl_->options.next) next->on_span_begin(s);
}

void metrics::on_span(const span_event& e) noexcept
{
    if (auto* next = impl_->options.next) next->on_span(e);
}

void metrics::on_breaker(const breaker_event& e) noexcept
{
    try {
        std::lock_guard lock(impl_->mutex);
        auto name = detail::to_utf8(e.name);
        auto& b = impl_->breakers[name];
        b.name = std::move(name);
        b.state = e.to;
        ++b.changes;
        b.opened += e.to == "open";
    } catch (const std::bad_alloc&) { // not counted
    }
    if (auto* next = impl_->options.next) next->on_breaker(e);
}

} // namespace pgcoro
