// Results that come from where changes are seen later than they are heard of: from a cluster's replicas, and
// from the second level.
#include "cache/cache_impl.hpp"

#include <pgcoro/cache/second_level.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

constexpr std::size_t most_handed_over = 64; // at once; what else is made meanwhile stays in this process
constexpr std::chrono::hours longest_kept{24};

} // namespace

void cache_impl::learn_moment(const moment_ptr& m)
{
    if (!latest_ || latest_->asked <= m->asked) latest_ = m;
}

asio::awaitable<cache_impl::moment_ptr> cache_impl::ask_moment()
{
    moment_ptr m;
    try {
        auto asked = options_.time->now();
        result got = co_await source_->run_on_primary(moment_statement, params());
        m = std::make_shared<const moment>(moment_from(got, asked));
    } catch (const server_error&) {
        // A standby that is no cluster's, or another product: nothing is taken from elsewhere.
    }
    if (m) locked([&](cache_store&) { learn_moment(m); });
    co_return m;
}

asio::awaitable<bool> cache_impl::place_on(connection& on)
{
    auto changed = locked([](cache_store& s) { return s.unplaced(); });
    if (!changed) co_return true;
    try {
        auto asked = options_.time->now();
        result got = co_await on.run(moment_statement, params());
        auto m = std::make_shared<const moment>(moment_from(got, asked));
        locked([&](cache_store& s) {
            learn_moment(m);
            s.place(*changed, m);
        });
        co_return true;
    } catch (const server_error&) {
    }
    co_return false;
}

std::optional<std::vector<cache_impl::moment_ptr>> cache_impl::moments_known(const cache_store::witness& w)
{
    std::lock_guard lock(mutex_);
    if (!latest_) return std::nullopt;
    auto known = store_.moments(w);
    auto comparable = [&](auto& m) { return m->origin == latest_->origin; };
    if (known && !std::ranges::all_of(*known, comparable)) known.reset();
    return known;
}

asio::awaitable<std::optional<std::vector<cache_impl::moment_ptr>>> cache_impl::moments(
    const cache_store::witness& w)
{
    if (auto known = moments_known(w)) co_return known;
    auto m = co_await ask_moment();
    if (!m) co_return std::nullopt;
    locked([&](cache_store& s) { s.place(w, m); });
    co_return moments_known(w);
}

std::string cache_impl::shared_key(const cache_key& key, const statement_facts& about, const cache_call& call)
{
    std::string full = locked([&](cache_store&) { return latest_->origin; });
    full += '\0';
    for (auto& tag : about.reads) full.append(tag) += '\0';
    full += '\0';
    for (auto tag : call.tags) full.append(tag) += '\0';
    full += '\0';
    full += key.view().bytes;
    return full;
}

// Who asks in the others' place.
asio::awaitable<cache_impl::result_ptr> cache_impl::lead(const cache_request& asked, const cache_key& key,
                                                         facts_ptr about, result_flight& flight, wish how)
{
    auto& call = asked.call;
    auto depends = watch(*about, call);
    locked([&](cache_store&) {
        flight.depends = depends;
        flight.age.reset();
    });
    commit_token seen;
    moment_ptr before;
    std::string full;
    if (copies_) {
        auto needed = co_await moments(depends);
        bool second = options_.second && needed && locked([&](cache_store& s) {
                          return !options_.coherent || s.following(options_.time->now());
                      });
        if (second) full = shared_key(key, *about, call);
        if (second && how == wish::any) {
            auto found = co_await find_second(full, depends, *needed, call, key, about, flight);
            if (found) co_return found;
        }
        if (second) before = co_await ask_moment();
        if (before && needed) needed->push_back(before);
        if (!needed) seen = commit_token::primary_only();
        for (std::size_t i = 0; needed && i < needed->size(); ++i)
            seen = std::max(seen, (*needed)[i]->position);
    }
    locked([&](cache_store& s) { ++s.stats().queries; });
    cache_question question{asked.sql, asked.args, asked.settings, seen, true};
    auto answer = co_await source_->ask(question);
    auto value = std::make_shared<const result>(std::move(answer.rows));
    if (!has_context(answer, asked.context)) co_return value;
    auto kept = locked([&](cache_store& s) {
        auto fresh = s.judge(depends, *about, *value, call.ttl, options_.time->now());
        if (fresh) s.keep(key.view(), depends, value, about, *fresh);
        return fresh;
    });
    // The key says of which origin it was taken to be.
    if (kept && before && full.starts_with(before->origin + '\0'))
        hand_over({std::move(full), before->over, before->server_time, kept->ttl, kept->cost, value});
    co_return value;
}

asio::awaitable<cache_impl::result_ptr> cache_impl::find_second(const std::string& full,
                                                                const cache_store::witness& depends,
                                                                const std::vector<moment_ptr>& needed,
                                                                const cache_call& call, const cache_key& key,
                                                                facts_ptr about, result_flight& flight)
{
    auto bytes = co_await options_.second->get(full);
    std::optional<shared_value> value;
    if (bytes) value = from_bytes(*bytes);
    bool ours = value && value->key == full;
    bool current =
        ours && std::ranges::all_of(needed, [&](auto& m) { return value->over.includes(m->over); });
    std::lock_guard lock(mutex_);
    auto& stats = store_.stats();
    if (!current) {
        ++stats.second_misses;
        stats.second_refused += bytes && !ours;
        stats.second_outdated += ours;
        co_return nullptr;
    }
    // Not less than the truth: the latest moment was told after it was asked for.
    using duration = cache_store::duration;
    auto now = options_.time->now();
    auto age = now - latest_->asked + duration(latest_->server_time) - duration(value->server_time);
    age = std::max(age, duration::zero());
    auto seen = about->seen.load(std::memory_order_relaxed);
    auto life = lifetime_of(options_, call.ttl, {seen, value->cost, about->changing, value->rows->empty()});
    auto ttl = store_.limited(std::min(life.ttl, value->ttl), *about);
    if (age >= ttl) {
        ++stats.second_misses;
        ++stats.second_outdated;
        co_return nullptr;
    }
    ++stats.second_hits;
    flight.age = age;
    if (!store_.current(depends)) {
        ++stats.outdated;
    } else {
        auto as_if = depends;
        as_if.asked = now - age;
        store_.keep(key.view(), as_if, value->rows, std::move(about), {ttl, value->cost});
    }
    co_return value->rows;
}

void cache_impl::hand_over(shared_value value)
{
    {
        std::lock_guard lock(mutex_);
        if (stopping_ || handing_over_ >= most_handed_over) return;
        ++handing_over_;
        ++background_;
        ++store_.stats().second_kept;
    }
    asio::co_spawn(strand_, handing_over(shared_from_this(), std::move(value)), asio::detached);
}

asio::awaitable<void> cache_impl::handing_over(std::shared_ptr<cache_impl> self, shared_value value)
{
    background counted(*self);
    if (auto bytes = to_bytes(value)) {
        auto ttl = std::min<cache_store::duration>(value.ttl, longest_kept);
        co_await self->options_.second->set(value.key, std::move(*bytes),
                                            std::chrono::ceil<std::chrono::milliseconds>(ttl));
    }
    self->locked([&](cache_store&) { --self->handing_over_; });
}

} // namespace pgcoro::detail
