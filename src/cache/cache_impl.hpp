// The async shell around the cache's mind.
#pragma once

#include "cache/catalog.hpp"
#include "cache/catalog_version.hpp"
#include "cache/flight.hpp"
#include "cache/shared_value.hpp"
#include "cache/store.hpp"

#include <pgcoro/cache/query_cache.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

namespace pgcoro::detail
{

namespace asio = boost::asio;

// Pieces of work under way, by key.
template <class Flight>
class flights
{
public:
    // The one under way, or a new one in its place if there is none or `joinable` says no.
    template <class Joinable>
    std::shared_ptr<Flight> board(std::string_view key, Joinable joinable)
    {
        auto& f = under_way_[std::string(key)];
        if (!f || !joinable(*f)) f = std::make_shared<Flight>();
        return f;
    }
    bool has(std::string_view key) const { return under_way_.contains(std::string(key)); }
    // Done, or nobody else wants it any more.
    void leave(std::string_view key, const std::shared_ptr<Flight>& f, bool done)
    {
        auto at = under_way_.find(std::string(key));
        if (at != under_way_.end() && at->second == f && (done || f.use_count() == 2)) under_way_.erase(at);
    }

private:
    std::unordered_map<std::string, std::shared_ptr<Flight>> under_way_;
};

// A caller's statement. Refers to what the caller keeps until it has the answer.
struct cache_request
{
    std::string_view context; // of the sessions, without the settings
    const local_settings& settings;
    std::string_view sql;
    const params& args;
    const cache_call& call;

    cache_key key() const { return {context, settings, sql, args}; }
};

// Returns the key of the facts about a statement.
std::string place_of(const cache_request& asked);
// Returns true if the result of the statement may be kept for others.
bool may_keep(const statement_facts& about, const cache_request& asked);

class cache_impl : public std::enable_shared_from_this<cache_impl>
{
public:
    using settings_ptr = std::shared_ptr<const local_settings>;
    using facts_ptr = std::shared_ptr<const statement_facts>;
    using result_ptr = std::shared_ptr<const result>;
    using time_point = cache_store::time_point;

    cache_impl(const asio::any_io_executor& executor, std::shared_ptr<cache_source> source,
               const cache_options& options);

    asio::awaitable<cached_result> read(std::string_view sql, params args, cache_call call, settings_ptr settings);
    asio::awaitable<cached_result> read_in(transaction& tx, std::string_view sql, params args);
    asio::awaitable<std::uint64_t> write_in(transaction& tx, std::string_view sql, params args);
    asio::awaitable<std::size_t> warm(std::vector<std::string> statements, cache_call call, settings_ptr settings);

    // Runs `change(store)` with the lock held.
    template <class Change>
    auto locked(Change change)
    {
        std::lock_guard lock(mutex_);
        return change(store_);
    }
    cache_stats stats() const;
    void invalidate_at_commit(transaction& tx, std::vector<std::string> tags);

    // Without options on a connection of the source's.
    void follow(std::optional<connection_options> options, const coherence_options& how);
    void stop();
    asio::awaitable<void> close();

private:
    struct result_flight : flight<result>
    {
        // Guarded by the cache's lock.
        std::optional<cache_store::witness> depends; // once its query is sent
        std::optional<cache_store::duration> age;    // if it was found in the second level
    };
    using moment_ptr = cache_store::moment_ptr;
    using context_ptr = std::shared_ptr<const std::string>;
    enum class wish { any, anew }; // anew: not what the second level has
    using facts_flight = flight<statement_facts>;
    class background;

    // What refreshing() needs of a request that is answered before.
    struct kept_request
    {
        std::string context;
        local_settings settings;
        std::string sql;
        params args;
        cache_call call;
        std::vector<std::string> tags;
    };

    asio::awaitable<cached_result> bypass(const cache_request& asked);
    asio::awaitable<cached_result> miss(const cache_request& asked, const cache_key& key);
    asio::awaitable<cached_result> shared(const cache_request& asked, const cache_key& key, facts_ptr about, wish how);
    asio::awaitable<result_ptr> lead(const cache_request& asked, const cache_key& key, facts_ptr about,
                                     result_flight& flight, wish how);
    cache_store::witness watch(const statement_facts& about, const cache_call& call);

    asio::awaitable<moment_ptr> ask_moment();
    std::optional<std::vector<moment_ptr>> moments_known(const cache_store::witness& w);
    asio::awaitable<std::optional<std::vector<moment_ptr>>> moments(const cache_store::witness& w);
    std::string shared_key(const cache_key& key, const statement_facts& about, const cache_call& call);
    asio::awaitable<result_ptr> find_second(const std::string& full, const cache_store::witness& depends,
                                            const std::vector<moment_ptr>& needed, const cache_call& call,
                                            const cache_key& key, facts_ptr about, result_flight& flight);
    void hand_over(shared_value value);
    static asio::awaitable<void> handing_over(std::shared_ptr<cache_impl> self, shared_value value);
    // Asks the connection for a moment, for all that has changed by now; false if it has none to tell.
    asio::awaitable<bool> place_on(connection& on);
    // With the lock held.
    void learn_moment(const moment_ptr& m);
    // Returns the context of the source's sessions, as the latest answer reported it; null if it is not known.
    context_ptr context_now();
    // As context_now(), but asks the source if the context is not known.
    asio::awaitable<context_ptr> ask_context();
    // Returns true if the answer comes from a session with the expected context; otherwise remembers the new context.
    bool has_context(const cache_answer& answer, std::string_view expected);
    asio::awaitable<facts_ptr> facts_of(const cache_request& asked);
    asio::awaitable<facts_ptr> learn(const cache_request& asked, const std::string& place);
    asio::awaitable<std::shared_ptr<statement_facts>> ask_catalog(const cache_request& asked);
    // The catalog may be asked of the primary only, because the facts must not be older than what the listener has seen.
    bool asks_primary() const { return options_.coherent && source_->may_lag(); }
    static facts_ptr with_parameters(facts_ptr about, const params& args);
    facts_ptr known(const std::string& place);
    // `catalog` is the version of the catalog before it was asked.
    facts_ptr remember(std::string place, std::shared_ptr<statement_facts> learnt, std::uint64_t catalog,
                       std::chrono::milliseconds believed);
    asio::awaitable<facts_ptr> facts_in(transaction& tx, const cache_request& asked);
    asio::awaitable<std::optional<cached_result>> read_shared(transaction& tx, std::string_view sql, const params& args);
    std::optional<cached_result> stale_instead(const std::exception_ptr& failure, const cache_call& call,
                                               const cache_key& key);
    void refresh(const cache_request& asked, const cache_key& key);
    static asio::awaitable<void> refreshing(std::shared_ptr<cache_impl> self, kept_request kept);
    static asio::awaitable<void> following(std::shared_ptr<cache_impl> self,
                                           std::optional<connection_options> options, coherence_options how);
    // `catalog_sent`: the catalog is known as of this time.
    asio::awaitable<void> listen(connection& on, const coherence_options& how, catalog_version& catalog,
                                 time_point catalog_sent);
    asio::awaitable<void> read_catalog(connection& on, catalog_version& catalog);

    const cache_options options_;
    const std::shared_ptr<cache_source> source_;
    const bool copies_; // results may come from where changes are seen later than they are heard of
    asio::strand<asio::any_io_executor> strand_;

    mutable std::mutex mutex_; // of all below
    cache_store store_;
    flights<result_flight> asking_;
    flights<facts_flight> learning_;
    context_ptr context_;
    time_point context_until_{}; // it is not asked for again before
    // By place_of().
    std::unordered_map<std::string, facts_ptr> statements_;
    std::unordered_map<std::string, facts_ptr> older_statements_; // what was there when the others were full
    moment_ptr latest_;                                           // of the primary's that was asked for
    std::size_t background_ = 0;                                  // coroutines at work
    std::size_t handing_over_ = 0;                                // of those, to the second level
    bool stopping_ = false;
    bool follows_ = false;
    std::vector<std::shared_ptr<one_shot>> on_idle_;
    asio::cancellation_signal stop_following_; // used on the strand only
};

// Counts a coroutine that works in the background, for close(). Made by who starts it, with the lock held.
class cache_impl::background
{
public:
    explicit background(cache_impl& in)
        : in_(in)
    {}
    background(const background&) = delete;
    ~background()
    {
        std::lock_guard lock(in_.mutex_);
        if (--in_.background_ > 0) return;
        for (auto& each : in_.on_idle_) each->tell();
        in_.on_idle_.clear();
    }

private:
    cache_impl& in_;
};

} // namespace pgcoro::detail
