// The cache within a transaction.
#include "cache/cache_impl.hpp"
#include "connection/session.hpp"
#include "connection/session_context.hpp"
#include "transaction/core.hpp"

#include <algorithm>
#include <initializer_list>

namespace pgcoro::detail
{

namespace
{

run_query queries_of(transaction& tx)
{
    return [&tx](std::string_view sql, const params& args) { return tx.run(sql, args); };
}

bool is_one_of(const std::string* value, std::initializer_list<std::string_view> allowed)
{
    if (!value) return true; // as the transaction's options say
    return std::ranges::find(allowed, std::string_view(*value)) != allowed.end();
}

// A snapshot of the whole transaction may be older than the cache's results, which are kept for others.
bool has_no_snapshot(const transaction& tx, const session_context& context)
{
    return tx.options().isolation == isolation::read_committed && !context.find("transaction_snapshot") &&
           is_one_of(context.find("transaction_isolation"), {"read committed", "\x01read committed"});
}

// Only the transaction itself may see what it wrote.
bool wrote_nothing(const transaction& tx, const session_context& context)
{
    if (tx.core().now() <= transaction_core::state::clean) return true;
    return tx.core().open() && tx.options().read_only &&
           is_one_of(context.find("transaction_read_only"), {"1", "on", "true", "yes"});
}

// Returns true if the next statement will find the settings that the session has now. A statement that was left before its answer
// may still change them; so do BEGIN with a pooler's settings, and a savepoint's undoing, which travel with the next statement.
bool is_settled(const transaction& tx, const session& on)
{
    bool begins = !tx.core().begun() && !on.settings_of_transaction().empty();
    return on.ready() && !on.broken() && !begins && !tx.undoes_next();
}

bool may_share(transaction& tx)
{
    auto* session = tx.session();
    return session && is_settled(tx, *session) && has_no_snapshot(tx, session->context()) &&
           wrote_nothing(tx, session->context());
}

} // namespace

// An error of the server is the transaction's, which has failed with it.
asio::awaitable<cache_impl::facts_ptr> cache_impl::facts_in(transaction& tx, const cache_request& asked)
{
    auto place = place_of(asked);
    if (auto there = known(place)) co_return there;
    auto catalog = locked([](cache_store& s) { return s.catalog(); });
    auto run = queries_of(tx);
    auto learnt = co_await look_up(run, asked.sql, options_.coherent);
    co_return remember(std::move(place), std::move(learnt), catalog, options_.statement_ttl);
}

// Returns nothing if the statement must run without the cache. It never waits for another caller's query, because that caller may
// wait for a lock of this transaction.
asio::awaitable<std::optional<cached_result>> cache_impl::read_shared(transaction& tx, std::string_view sql,
                                                                      const params& args)
{
    if (!may_share(tx)) co_return std::nullopt;
    co_await tx.session()->learn_context();
    auto context = tx.session()->context_key();
    if (!context) co_return std::nullopt;
    const cache_call call;
    cache_request asked{*context, no_local_settings, sql, args, call};
    auto key = asked.key();
    cache_store::found f;
    {
        std::lock_guard lock(mutex_);
        f = store_.look(key.view(), options_.time->now());
        if (f.value && f.stale_for.count() == 0) ++store_.stats().hits;
    }
    if (f.value && f.stale_for.count() == 0) co_return cached_result(std::move(f.value), cache_origin::hit, f.age);
    auto about = co_await facts_in(tx, asked);
    about->seen.fetch_add(1, std::memory_order_relaxed);
    about = with_parameters(std::move(about), args);
    // One that reads only may be on a replica, which may not have seen what was heard of.
    bool lags = source_->may_lag() && tx.options().read_only;
    if (lags || !may_keep(*about, asked)) co_return std::nullopt;
    auto depends = watch(*about, call);
    locked([](cache_store& s) {
        ++s.stats().misses;
        ++s.stats().queries;
    });
    result got = co_await tx.run(sql, args);
    auto value = std::make_shared<const result>(std::move(got));
    // The facts may be outdated: the statement may have written, or changed the settings.
    if (may_share(tx) && tx.session()->context_key() == context)
        locked([&](cache_store& s) { s.put(key.view(), depends, value, about, call.ttl, options_.time->now()); });
    else
        locked([](cache_store& s) { ++s.stats().refused; });
    co_return cached_result(std::move(value), cache_origin::asked, {});
}

asio::awaitable<cached_result> cache_impl::read_in(transaction& tx, std::string_view sql, params args)
{
    if (auto shared = co_await read_shared(tx, sql, args)) co_return std::move(*shared);
    locked([](cache_store& s) { ++s.stats().bypassed; });
    result got = co_await tx.run(sql, std::move(args));
    co_return cached_result(std::make_shared<const result>(std::move(got)), cache_origin::bypassed, {});
}

asio::awaitable<std::uint64_t> cache_impl::write_in(transaction& tx, std::string_view sql, params args)
{
    auto run = queries_of(tx);
    auto tags = co_await tables_written(run, sql);
    result got = co_await tx.run(sql, std::move(args));
    if (!tags.empty()) invalidate_at_commit(tx, std::move(tags));
    co_return got.affected_rows();
}

void cache_impl::invalidate_at_commit(transaction& tx, std::vector<std::string> tags)
{
    tx.at_commit([self = shared_from_this(), tags = std::move(tags)] {
        std::lock_guard lock(self->mutex_);
        for (auto& t : tags) self->store_.invalidate_tag(t);
    });
}

} // namespace pgcoro::detail
