#pragma once

#include "integration/connection/support.hpp"

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <boost/asio/error.hpp>

namespace pgcoro
{

inline std::ostream& operator<<(std::ostream& out, cache_origin o)
{
    constexpr const char* words[] = {"asked", "hit", "second", "stale", "bypassed"};
    return out << words[static_cast<int>(o)];
}

} // namespace pgcoro

/// A clock that goes when it is told to.
class manual_time final : public pgcoro::time_source
{
public:
    time_point now() const noexcept override { return now_; }
    asio::awaitable<void> sleep_for(duration) override { co_return; }
    void advance(duration by) { now_ += by; }

private:
    time_point now_ = time_point(std::chrono::hours(1));
};

/// Queries of a pool, counted by their text; the database may be away, or held up.
class counted_source final : public pgcoro::cache_source
{
public:
    explicit counted_source(pgcoro::pool& p)
        : pool_(p)
    {}

    asio::awaitable<pgcoro::result> run(std::string_view sql, const pgcoro::params& args) override
    {
        return run_with({}, sql, args);
    }
    asio::awaitable<pgcoro::cache_answer> ask(const pgcoro::cache_question& question) override
    {
        pgcoro::cache_answer answer;
        answer.rows = co_await run_with(question.settings, question.sql, question.args);
        co_return answer;
    }

    int asked = 0;     ///< statements of the users' own
    int looked_up = 0; ///< of the cache's, in the catalog
    bool away = false;
    bool held = false;

private:
    asio::awaitable<pgcoro::result> run_with(pgcoro::local_settings settings, std::string_view sql,
                                             const pgcoro::params& args)
    {
        if (sql.find("pg_catalog.pg_settings") != sql.npos && !away) co_return co_await pool_.run(sql, args);
        bool catalog = sql.find("pg_catalog.") != sql.npos;
        ++(catalog ? looked_up : asked);
        if (away) throw pgcoro::connection_error(pgcoro::connection_failure::refused, "away");
        if (!catalog)
            while (held) co_await yield();
        co_return co_await pool_.with(settings).run(sql, args);
    }

    pgcoro::pool& pool_;
};

/// A cache over a pool of the shared server, in one thread.
class cached
{
public:
    explicit cached(pgcoro::cache_options options = {})
        : pool_(io_.get_executor(), pool_options())
        , source_(std::make_shared<counted_source>(pool_))
        , cache_(io_.get_executor(), source_, with_clock(options))
    {}

    template <class Body>
    void run(Body body)
    {
        run_on(io_, [&]() -> asio::awaitable<void> {
            co_await body();
            source_->held = false;
            co_await cache_.close();
            co_await pool_.close();
        });
    }

    pgcoro::query_cache& cache() { return cache_; }
    pgcoro::pool& pool() { return pool_; }
    counted_source& source() { return *source_; }
    manual_time& time() { return time_; }
    asio::io_context& io() { return io_; }

private:
    static pgcoro::pool_options pool_options()
    {
        pgcoro::pool_options o;
        o.connection = shared_options();
        o.size = 4;
        return o;
    }
    pgcoro::cache_options with_clock(pgcoro::cache_options o)
    {
        o.time = &time_;
        return o;
    }

    asio::io_context io_;
    manual_time time_;
    pgcoro::pool pool_;
    std::shared_ptr<counted_source> source_;
    pgcoro::query_cache cache_;
};

/// Tables and views of a test's own, in a schema that goes with the object.
class scratch_schema
{
public:
    explicit scratch_schema(const std::string& sql)
    {
        shared_server().psql(
            "drop schema if exists cached cascade; create schema cached; set search_path = cached; " + sql);
    }
    ~scratch_schema() { shared_server().psql("drop schema cached cascade"); }
};
