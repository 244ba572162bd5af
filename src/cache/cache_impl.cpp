// Reading by way of the cache.
#include "cache/cache_impl.hpp"

#include "resilience/is_a.hpp"
#include "sql/time_words.hpp"

#include <algorithm>

namespace pgcoro::detail
{

using verdict = statement_facts::verdict;

namespace
{

asio::awaitable<result> ask_rows(cache_source& source, cache_question question)
{
    cache_answer answer = co_await source.ask(question);
    co_return std::move(answer.rows);
}

// The settings that can change what the names of a statement mean. Those with a dot in their names cannot, and often name one
// of many tenants.
local_settings naming_settings(const local_settings& all)
{
    local_settings naming;
    for (auto& e : all.entries())
        if (e.name.find('.') == e.name.npos) naming.add({e.name, e.value});
    return naming;
}

} // namespace

std::string place_of(const cache_request& asked)
{
    cache_key key(asked.context, naming_settings(asked.settings), asked.sql, params());
    return std::string(key.view().bytes);
}

bool may_keep(const statement_facts& about, const cache_request& asked)
{
    bool is_set = std::ranges::all_of(about.settings, [&](auto& name) { return asked.settings.find(name) != nullptr; });
    return is_set && (about.may == verdict::cacheable || (about.may == verdict::with_tags && !asked.call.tags.empty()));
}

cache_impl::cache_impl(const asio::any_io_executor& executor, std::shared_ptr<cache_source> source,
                       const cache_options& options)
    : options_((options.validate(), options))
    , source_(std::move(source))
    , copies_(options_.second || source_->may_lag())
    , strand_(asio::make_strand(executor))
    , store_(options_, copies_)
{}

asio::awaitable<cached_result> cache_impl::read(std::string_view sql, params args, cache_call call, settings_ptr settings)
{
    auto context = context_now();
    if (!context) context = co_await ask_context();
    cache_request asked{context ? std::string_view(*context) : std::string_view(), *settings, sql, args, call};
    if (!context) co_return co_await bypass(asked);
    auto key = asked.key();
    cache_store::found f;
    bool usable = false;
    {
        std::lock_guard lock(mutex_);
        f = store_.look(key.view(), options_.time->now());
        bool stale = f.stale_for.count() > 0;
        usable = f.value && (!stale || f.stale_for <= call.stale_while_revalidate);
        if (usable) ++(stale ? store_.stats().stale : store_.stats().hits);
    }
    if (!usable) co_return co_await miss(asked, key);
    bool stale = f.stale_for.count() > 0;
    if (stale || f.ahead) refresh(asked, key);
    co_return cached_result(std::move(f.value), stale ? cache_origin::stale : cache_origin::hit, f.age);
}

asio::awaitable<cached_result> cache_impl::bypass(const cache_request& asked)
{
    locked([](cache_store& s) { ++s.stats().bypassed; });
    cache_question question{asked.sql, asked.args, asked.settings, {}};
    auto got = std::make_shared<const result>(co_await ask_rows(*source_, question));
    co_return cached_result(std::move(got), cache_origin::bypassed, {});
}

cache_impl::context_ptr cache_impl::context_now()
{
    std::lock_guard lock(mutex_);
    return context_;
}

asio::awaitable<cache_impl::context_ptr> cache_impl::ask_context()
{
    auto now = options_.time->now();
    {
        std::lock_guard lock(mutex_);
        if (now < context_until_) co_return context_;
    }
    auto found = co_await source_->context();
    std::lock_guard lock(mutex_);
    context_ = found ? std::make_shared<const std::string>(std::move(*found)) : nullptr;
    context_until_ = now + options_.statement_ttl;
    co_return context_;
}

// A session of another context says that the sessions have changed: later queries use the new context.
bool cache_impl::has_context(const cache_answer& answer, std::string_view expected)
{
    if (!answer.context) return false;
    if (answer.context->empty() || *answer.context == expected) return true;
    std::lock_guard lock(mutex_);
    context_ = std::make_shared<const std::string>(*answer.context);
    ++store_.stats().refused;
    return false;
}

asio::awaitable<cached_result> cache_impl::miss(const cache_request& asked, const cache_key& key)
{
    std::exception_ptr failure;
    try {
        facts_ptr known = co_await facts_of(asked);
        known->seen.fetch_add(1, std::memory_order_relaxed);
        auto about = with_parameters(std::move(known), asked.args);
        if (may_keep(*about, asked)) {
            auto value = co_await shared(asked, key, about, wish::any);
            co_return value;
        }
        auto got = co_await bypass(asked);
        co_return got;
    } catch (...) {
        failure = std::current_exception();
    }
    if (auto old = stale_instead(failure, asked.call, key)) co_return *old;
    std::rethrow_exception(failure);
}

// When the database cannot be reached, and the call would rather have an old result than none.
std::optional<cached_result> cache_impl::stale_instead(const std::exception_ptr& failure,
                                                       const cache_call& call, const cache_key& key)
{
    if (call.stale_if_error.count() <= 0) return std::nullopt;
    auto out_of_reach = [](auto& e) { return e.is_transient() || e.invalidates_connection(); };
    if (!is_a<error>(failure, out_of_reach)) return std::nullopt;
    std::lock_guard lock(mutex_);
    auto f = store_.look(key.view(), options_.time->now());
    if (!f.value || f.stale_for > call.stale_if_error) return std::nullopt;
    ++store_.stats().stale;
    return cached_result(std::move(f.value), cache_origin::stale, f.age);
}

asio::awaitable<cached_result> cache_impl::shared(const cache_request& asked, const cache_key& key, facts_ptr about, wish how)
{
    struct passage
    {
        cache_impl& in;
        std::string_view key;
        std::shared_ptr<result_flight> flight;
        bool done = false;
        ~passage()
        {
            std::lock_guard lock(in.mutex_);
            in.asking_.leave(key, flight, done);
        }
    };
    auto bytes = key.view().bytes;
    passage p{*this, bytes, locked([&](cache_store& store) {
                  // Who asks after a change must not get what was read before it.
                  return asking_.board(bytes,
                                       [&](auto& f) { return !f.depends || store.current(*f.depends); });
              })};
    bool led = false;
    auto work = [&] { return lead(asked, key, about, *p.flight, how); };
    std::exception_ptr failure;
    result_ptr value;
    try {
        value = co_await p.flight->join(work, led);
        p.done = true;
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        p.done = led && !is_cancellation(failure);
        std::rethrow_exception(failure);
    }
    auto age = locked([&](cache_store& store) {
        ++store.stats().misses;
        if (!led) ++store.stats().shared;
        return p.flight->age;
    });
    auto origin = age ? cache_origin::second : cache_origin::asked;
    co_return cached_result(std::move(value), origin, age.value_or(cache_store::duration()));
}

cache_store::witness cache_impl::watch(const statement_facts& about, const cache_call& call)
{
    return locked([&](cache_store& store) { return store.watch(about, call.tags, options_.time->now()); });
}

cache_impl::facts_ptr cache_impl::known(const std::string& place)
{
    std::lock_guard lock(mutex_);
    for (auto* table : {&statements_, &older_statements_})
        if (auto at = table->find(place); at != table->end() && options_.time->now() < at->second->until &&
                                          at->second->catalog == store_.catalog())
            return at->second;
    return nullptr;
}

asio::awaitable<cache_impl::facts_ptr> cache_impl::facts_of(const cache_request& asked)
{
    auto place = place_of(asked);
    if (auto there = known(place)) co_return there;
    auto flight = locked([&](cache_store&) { return learning_.board(place, [](auto&) { return true; }); });
    struct passage
    {
        cache_impl& in;
        std::string_view key;
        std::shared_ptr<facts_flight>& flight;
        ~passage()
        {
            std::lock_guard lock(in.mutex_);
            in.learning_.leave(key, flight, false);
        }
    } p{*this, place, flight};
    bool led = false;
    auto work = [&] { return learn(asked, place); };
    co_return co_await flight->join(work, led);
}

// A parameter such as 'now' may be cast to a time.
cache_impl::facts_ptr cache_impl::with_parameters(facts_ptr about, const params& args)
{
    if (about->changing || about->may == verdict::never) return about;
    for (std::size_t i = 0; i < args.size(); ++i) {
        auto size = static_cast<std::size_t>(std::max(args[i].size, 0));
        if (sql::has_time_word({args.data() + args[i].offset, size})) return as_changing(*about);
    }
    return about;
}

asio::awaitable<std::shared_ptr<statement_facts>> cache_impl::ask_catalog(const cache_request& asked)
{
    auto naming = naming_settings(asked.settings);
    auto seen = asks_primary() ? commit_token::primary_only() : commit_token();
    run_query run = [&](std::string_view sql, const params& args) {
        return ask_rows(*source_, {sql, args, naming, seen, true});
    };
    auto learnt = co_await look_up(run, asked.sql, options_.coherent);
    co_return learnt;
}

asio::awaitable<cache_impl::facts_ptr> cache_impl::learn(const cache_request& asked, const std::string& place)
{
    std::shared_ptr<statement_facts> learnt;
    std::string refused;
    auto believed = options_.statement_ttl;
    auto catalog = locked([](cache_store& s) { return s.catalog(); });
    try {
        learnt = co_await ask_catalog(asked);
    } catch (const server_error& e) {
        refused = e.what();
    } catch (const error& e) {
        if (!asks_primary()) throw;
        refused = e.what(); // the primary is away, and a replica may still answer
        believed = {};
    }
    if (!learnt) { // that is no reason not to run the statement
        learnt = std::make_shared<statement_facts>();
        learnt->why = "the catalog could not be asked: " + refused;
    }
    co_return remember(place, std::move(learnt), catalog, believed);
}

cache_impl::facts_ptr cache_impl::remember(std::string place, std::shared_ptr<statement_facts> learnt, std::uint64_t catalog,
                                           std::chrono::milliseconds believed)
{
    learnt->catalog = catalog;
    learnt->until = options_.time->now() + believed;
    std::lock_guard lock(mutex_);
    for (auto* table : {&statements_, &older_statements_})
        if (auto at = table->find(place); at != table->end()) {
            learnt->seen = at->second->seen.load();
            table->erase(at);
        }
    if (statements_.size() >= options_.max_statements / 2) {
        older_statements_ = std::move(statements_);
        statements_.clear();
    }
    statements_.emplace(std::move(place), learnt);
    return learnt;
}

asio::awaitable<std::size_t> cache_impl::warm(std::vector<std::string> statements, cache_call call, settings_ptr settings)
{
    std::size_t there = 0;
    params none;
    for (auto& sql : statements) {
        co_await read(sql, none, call, settings);
        auto context = context_now();
        if (!context) continue;
        auto key = cache_request{*context, *settings, sql, none, call}.key();
        auto f = locked([&](cache_store& store) { return store.look(key.view(), options_.time->now()); });
        if (f.value && f.stale_for.count() == 0) ++there;
    }
    co_return there;
}

cache_stats cache_impl::stats() const
{
    std::lock_guard lock(mutex_);
    auto s = store_.figures(options_.time->now());
    s.statements = statements_.size() + older_statements_.size();
    return s;
}

} // namespace pgcoro::detail
