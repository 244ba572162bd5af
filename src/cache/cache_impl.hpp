// The async shell around the cache's mind.
#pragma once

#include "cache/catalog.hpp"
#include "cache/flight.hpp"
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

class cache_impl : public std::enable_shared_from_this<cache_impl>
{
public:
    using facts_ptr = std::shared_ptr<const statement_facts>;
    using result_ptr = std::shared_ptr<const result>;
    using time_point = cache_store::time_point;

    cache_impl(asio::any_io_executor executor, std::shared_ptr<cache_source> source,
               const cache_options& options);

    asio::awaitable<cached_result> read(std::string_view sql, params args, cache_call call);
    asio::awaitable<cached_result> read_in(transaction& tx, std::string_view sql, params args);
    asio::awaitable<std::uint64_t> write_in(transaction& tx, std::string_view sql, params args);
    asio::awaitable<std::size_t> warm(std::vector<std::string> statements);

    // Runs `change(store)` with the lock held.
    template <class Change>
    auto locked(Change change)
    {
        std::lock_guard lock(mutex_);
        return change(store_);
    }
    cache_stats stats() const;
    void invalidate_at_commit(transaction& tx, std::vector<std::string> tags);

    void follow(connection_options options, const coherence_options& how);
    void stop();
    asio::awaitable<void> close();

private:
    struct result_flight : flight<result>
    {
        std::optional<cache_store::witness> depends; // once its query is sent; guarded by the cache's lock
    };
    using facts_flight = flight<statement_facts>;
    class background;

    asio::awaitable<cached_result> miss(std::string_view sql, const params& args, const cache_call& call,
                                        const cache_key& key);
    asio::awaitable<result_ptr> shared(std::string_view sql, const params& args, const cache_call& call,
                                       const cache_key& key, facts_ptr about);
    asio::awaitable<result_ptr> ask(cache_source& source, std::string_view sql, const params& args,
                                    const cache_call& call, const cache_key& key, facts_ptr about,
                                    result_flight* flight);
    asio::awaitable<facts_ptr> facts_of(std::string_view sql);
    asio::awaitable<facts_ptr> learn(cache_source& source, std::string_view sql);
    facts_ptr known(std::string_view sql);
    std::optional<cached_result> stale_instead(const std::exception_ptr& failure, const cache_call& call,
                                               const cache_key& key);
    void refresh(std::string_view sql, const params& args, const cache_call& call, const cache_key& key);
    static asio::awaitable<void> refreshing(std::shared_ptr<cache_impl> self, std::string sql, params args,
                                            cache_call call, std::vector<std::string> tags);
    static asio::awaitable<void> following(std::shared_ptr<cache_impl> self, connection_options options,
                                           coherence_options how);
    asio::awaitable<void> listen(connection& on, const coherence_options& how);

    const cache_options options_;
    const std::shared_ptr<cache_source> source_;
    asio::strand<asio::any_io_executor> strand_;

    mutable std::mutex mutex_; // of all below
    cache_store store_;
    flights<result_flight> asking_;
    flights<facts_flight> learning_;
    std::unordered_map<std::string, facts_ptr> statements_;
    std::unordered_map<std::string, facts_ptr> older_statements_; // what was there when the others were full
    std::size_t background_ = 0;                                  // coroutines at work
    bool stopping_ = false;
    bool follows_ = false;
    std::vector<std::shared_ptr<one_shot>> on_idle_;
    asio::cancellation_signal stop_following_; // used on the strand only
};

} // namespace pgcoro::detail
