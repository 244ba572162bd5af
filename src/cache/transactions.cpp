// The cache within a transaction.
#include "cache/cache_impl.hpp"
#include "transaction/core.hpp"

namespace pgcoro::detail
{

namespace
{

class transaction_source final : public cache_source
{
public:
    explicit transaction_source(transaction& tx)
        : tx_(tx)
    {}
    asio::awaitable<result> run(std::string_view sql, const params& args) override
    {
        return tx_.run(sql, args);
    }

private:
    transaction& tx_;
};

// A snapshot of the whole transaction is older than what the cache may have, and the reverse; what it wrote
// itself only it may see.
bool may_share(const transaction& tx)
{
    auto& o = tx.options();
    return o.isolation == isolation::read_committed &&
           (o.read_only || tx.core().now() <= transaction_core::state::clean);
}

} // namespace

// Never waits for another caller's query, who may wait for a lock of this transaction's.
asio::awaitable<cached_result> cache_impl::read_in(transaction& tx, std::string_view sql, params args)
{
    transaction_source source(tx);
    cache_call call;
    if (may_share(tx)) {
        cache_key key(sql, args);
        cache_store::found f;
        {
            std::lock_guard lock(mutex_);
            f = store_.look(key.view(), options_.time->now());
            if (f.value && f.stale_for.count() == 0) ++store_.stats().hits;
        }
        if (f.value && f.stale_for.count() == 0)
            co_return cached_result(std::move(f.value), cache_origin::hit, f.age);
        auto about = known(sql);
        if (!about) about = co_await learn(source, sql);
        about->seen.fetch_add(1, std::memory_order_relaxed);
        // One that reads only may be on a replica, which may not have seen what was heard of.
        bool lags = source_->may_lag() && tx.options().read_only;
        if (about->may == statement_facts::verdict::cacheable && !lags) {
            locked([](cache_store& s) { ++s.stats().misses; });
            auto value = co_await ask(source, sql, args, call, key, about);
            co_return cached_result(std::move(value), cache_origin::asked, {});
        }
    }
    locked([](cache_store& s) { ++s.stats().bypassed; });
    result got = co_await tx.run(sql, std::move(args));
    co_return cached_result(std::make_shared<const result>(std::move(got)), cache_origin::bypassed, {});
}

asio::awaitable<std::uint64_t> cache_impl::write_in(transaction& tx, std::string_view sql, params args)
{
    transaction_source source(tx);
    auto tags = co_await tables_written(source, sql);
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
