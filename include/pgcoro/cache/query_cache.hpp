#pragma once

#include <pgcoro/cache/cached_result.hpp>
#include <pgcoro/cache/coherence.hpp>
#include <pgcoro/cache/options.hpp>
#include <pgcoro/cache/second_level.hpp>
#include <pgcoro/cache/source.hpp>
#include <pgcoro/cache/stats.hpp>
#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/transaction/transaction.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

class cluster;

namespace detail
{
class cache_impl;
} // namespace detail

class cache_reads;
class cache_transaction;

/// A cache with what one call wants of it, and the settings of the server that its statements run with; see
/// `query_cache::with`.
class cache_reads : public cache_reading<cache_reads, cache_reads>
{
public:
    boost::asio::awaitable<cached_result> read(std::string_view sql, params args);

    /// As `query_cache::warm`, with these settings.
    boost::asio::awaitable<std::size_t> warm(std::vector<std::string> statements);

private:
    friend class query_cache;
    cache_reads(detail::cache_impl& cache, const cache_call& call, std::shared_ptr<const local_settings> settings) noexcept
        : cache_(cache)
        , call_(call)
        , settings_(std::move(settings))
    {}

    detail::cache_impl& cache_;
    cache_call call_;
    std::shared_ptr<const local_settings> settings_;
};

/// A cache within a transaction; see `query_cache::in`.
class cache_transaction : public cache_reading<cache_transaction, cache_transaction>
{
public:
    boost::asio::awaitable<cached_result> read(std::string_view sql, params args);

    /// Runs a statement for its effect, and invalidates at the transaction's commit what depends on the
    /// tables that it names as changed. Gives the number of rows it touched.
    template <class... T>
    boost::asio::awaitable<std::uint64_t> execute(std::string_view sql, const T&... args)
    {
        return write(sql, params::of(args...));
    }
    template <detail::owned_text Text, class... T>
    boost::asio::awaitable<std::uint64_t> execute(Text&& sql, const T&... args)
    {
        return write_owned(*this, std::move(sql), params::of(args...));
    }

private:
    friend class query_cache;
    cache_transaction(detail::cache_impl& cache, transaction& tx) noexcept
        : cache_(cache)
        , tx_(tx)
    {}
    boost::asio::awaitable<std::uint64_t> write(std::string_view sql, params args);
    static boost::asio::awaitable<std::uint64_t> write_owned(cache_transaction self, std::string sql,
                                                             params args);

    detail::cache_impl& cache_;
    transaction& tx_;
};

/// Results of queries, kept and shared.
///
/// ```cpp
/// pgcoro::query_cache cache(executor, pool);
/// auto rich = co_await cache.query_as<account>("select id, owner, cents from account where cents > $1",
/// 100'000); pgcoro::cache_call call{.ttl = 10s, .stale_if_error = 5min}; auto count = co_await
/// cache.with(call).query_value<std::int64_t>("select count(*) from account");
/// cache.invalidate_tag("public.account");
/// ```
/// **What is kept.** The result of one SELECT that only reads, by PostgreSQL's parser and the catalog. Any other statement
/// runs as if there were no cache. Results are found by text, encoded parameters, what the session is set to and the settings
/// of the call (see docs/cache.md), compared in full. A function counts wherever it is called: by name, like a column
/// (`a.balance`), in a view, in a policy of row-level security, or through an operator, an aggregate or a cast.
///
/// - Never kept: a statement that locks rows, calls a volatile function (`random()` and `gen_random_uuid()`, too) or one that
///   depends on the session by other things than its settings (`pg_backend_pid()`), uses TABLESAMPLE or the system columns
///   `ctid`, `xmin`, `xmax`, `cmin` or `cmax`, or reads a temporary table.
/// - Kept for the same settings only, as everything is: rows under row-level security, and what reads `current_user`,
///   `current_schema` or `current_setting('app.tenant')`. A setting that is read must have a dot in its name, which must be a
///   constant, and a value: by with(), by `transaction::set_local`, or as the session's default. A statement that
///   reads a setting without a value is not kept.
/// - Kept only for a call that names tags: a statement that depends on more than tables: STABLE functions of users, foreign
///   tables, the catalog, casts to `regclass` and the other reg types. If the database has an implicit cast by a STABLE
///   function of a user, this concerns every statement, because such a cast does not show in the text.
/// - Kept for a limited time: a statement that depends on the clock: `now()`, `current_date`, and string constants and
///   parameters with the word now, today, tomorrow or yesterday, whatever their type. A coherent cache keeps the result for
///   `coherence_options::bound`. Another cache keeps it for `adaptive_ttl::changing_at_most`, unless the strategy is `ttl` or
///   the call says how long.
///
/// The cache cannot see two things: a function that is marked IMMUTABLE or STABLE and is not, and a column of a text type
/// that holds 'now' and is cast to a time.
///
/// **The catalog** is asked once per text (two statements), and believed for `cache_options::statement_ttl`. A coherent cache
/// forgets everything when DDL changes tables, columns, inheritance, views, functions, operators, casts, types or schemas,
/// within `coherence_options::bound`. A cache that is not coherent learns of DDL when the time to live ends.
///
/// **One query.** Who asks for what is being asked already waits for that. If its caller is cancelled one of
/// those who wait asks in its place. An error reaches all of them.
///
/// **Tags** are the tables, as "schema.table", that a statement reads, also through views, partitions and
/// inheritance, and those that the call names: the same for each call of a statement, because a result has
/// those of the call that asked.
///
/// **Errors:** those of the source. **Cancellation:** any kind. **Threads:** all functions may be called from
/// any thread. **Lifetime:** the cache must outlive the calls to it, and the source must outlive both the
/// cache and what that does in the background, which close() waits for.
class query_cache : public cache_reading<query_cache>
{
public:
    /// Background work (refreshing, listening) runs on the executor. Throws `std::invalid_argument` when an
    /// option is out of its range.
    query_cache(boost::asio::any_io_executor executor, pool& p,
                const cache_options& options = cache_options());
    /// Queries go to replicas by the cluster's routing. What was read from a replica is never older than what
    /// the cache has heard of: after an invalidation, and after it began to listen (again), queries for what
    /// hangs on it go to replicas that have applied the log up to where the primary had written it then, or
    /// to the primary. That costs a round trip to the primary each time, by who asks next or the listener.
    query_cache(boost::asio::any_io_executor executor, cluster& c,
                const cache_options& options = cache_options());
    query_cache(boost::asio::any_io_executor executor, std::shared_ptr<cache_source> source,
                const cache_options& options = cache_options());
    query_cache(const query_cache&) = delete;
    query_cache& operator=(const query_cache&) = delete;
    /// Stops what it does in the background, without waiting for its end.
    ~query_cache();

    boost::asio::awaitable<cached_result> read(std::string_view sql, params args);

    /// Returns an object that reads with other wishes than the usual ones. The cache must outlive it.
    cache_reads with(const cache_call& call);
    /// Returns an object whose statements run with settings of the server that hold for the statement only, as those of
    /// `pool::with`: for instance on behalf of a tenant, or in a role with fewer rights.
    ///
    /// ```cpp
    /// auto notes = co_await cache.with({{"app.tenant", id}, {"role", "app"}}).query("select body from note");
    /// ```
    /// The settings, their order included, are a part of the key: a result is returned only for the settings that it was read
    /// with. A result that is kept is returned without asking the server whether it still accepts the settings; see "Rights"
    /// in docs/cache.md.
    ///
    /// **Errors** beyond those of the source: the `server_error` of a setting that the server refuses. The statement was not run
    /// then, and nothing is kept. `std::logic_error` if the source cannot run statements with settings; see
    /// `cache_source::ask`. **Lifetime:** owns the settings. The cache must outlive it.
    cache_reads with(local_settings settings, const cache_call& call = cache_call());

    /// Returns an object that reads and writes within a transaction. Reads use the cache as long as the transaction has not
    /// written, and only if its `isolation` is read_committed by name and `resolve_commit` is not `off` (which is how the cache
    /// knows whether it wrote); otherwise they run as if there were no cache. Results are looked up, and kept, under what the
    /// transaction is set to: its search_path, role and other settings; nothing is shared while that is not known (see
    /// docs/cache.md). Reads never wait for other callers' queries. The cache and the transaction must outlive the object.
    cache_transaction in(transaction& tx) noexcept;

    /// What hangs on the tag is forgotten, at a cost that does not depend on how much it is. Also what is on
    /// its way is not kept; who asks from now on asks the database.
    void invalidate_tag(std::string_view tag);
    /// The same for all tags that match: `*` stands for any characters, `?` for one.
    void invalidate_tags_like(std::string_view pattern);
    /// Forgets the results of one statement with these parameters, whatever settings they were read with.
    template <class... T>
    void invalidate(std::string_view sql, const T&... args)
    {
        invalidate_key(sql, params::of(args...));
    }
    void invalidate_all();
    /// At the transaction's commit, also if its outcome stays unknown; not if it is rolled back.
    void invalidate_at_commit(transaction& tx, std::vector<std::string> tags);

    /// Asks for these statements, which have no parameters, one after the other, so that they are there.
    /// Gives the number of those that were kept. Throws what the source throws.
    boost::asio::awaitable<std::size_t> warm(std::vector<std::string> statements);

    /// Listens from now on, on a connection of its own (not through a pooler), to what the triggers of
    /// install_cache_triggers() tell. Needs `cache_options::coherent`: then only results are kept all whose
    /// tables have such triggers (or whose call names tags), and what is found is fresh only as
    /// `coherence_options::bound` says. While the connection is lost everything is stale, and what was kept
    /// before stays so. Throws `std::logic_error` without that option and when called twice,
    /// `std::invalid_argument` for options out of their range.
    void follow(connection_options options, const coherence_options& how = coherence_options());
    /// The same over a cluster, on a connection of its primary's pool, and after a failover on one of the
    /// new primary's. It keeps that one for as long as it listens. While a failover goes on and the old
    /// primary still answers, the bound is longer by the time that the cluster takes to see it: a
    /// `check_interval` and a `check_timeout`, and `drain_timeout` for one that was demoted.
    void follow(const coherence_options& how = coherence_options());

    /// Stops listening and refreshing, and waits for the end of both. Queries are still answered.
    boost::asio::awaitable<void> close();

    cache_stats stats() const;

private:
    void invalidate_key(std::string_view sql, const params& args);

    std::shared_ptr<detail::cache_impl> impl_;
};

} // namespace pgcoro
