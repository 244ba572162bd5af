#pragma once

#include <pgcoro/cluster/commit_token.hpp>
#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// What a cache asks of its source. Refers to what the cache keeps until the answer is there.
struct cache_question
{
    std::string_view sql;
    const params& args;
    /// Hold for this statement only, as in `pool::with`.
    const local_settings& settings;
    /// The server must have got as far as this.
    commit_token seen;
    /// The statement changes nothing: when its connection is lost, that is a `connection_error`, and not a `commit_unknown`.
    bool only_reads = false;
};

/// What a source returns for a query, and what the session that ran it was set to.
struct cache_answer
{
    result rows;
    /// Results may stand for each other if these are equal. Empty: the session was as all sessions of the source are. Nothing:
    /// that is not known, and the result is not kept. The settings of the question are no part of it.
    std::optional<std::string> context = std::string();
};

/// Where a cache's queries run. The sessions of a source that does not override ask() are all alike: the same database,
/// role and settings, search_path and TimeZone among them. A source whose answers may be older than a commit that was notified, such as a
/// replica, says so by may_lag().
class cache_source
{
public:
    virtual ~cache_source();

    /// Runs one statement, from whatever thread; several at once.
    virtual boost::asio::awaitable<result> run(std::string_view sql, const params& args) = 0;

    /// Its answers may be older than a commit that was answered: run_after() is used then.
    virtual bool may_lag() const noexcept;
    /// As run(), on a server that has got as far as `seen`. By default run().
    virtual boost::asio::awaitable<result> run_after(commit_token seen, std::string_view sql,
                                                     const params& args);
    /// Runs a statement with the settings of the question, and says what the session was set to. By default run_after(), with an
    /// empty context, and `std::logic_error` for a question with settings: a source that does not override ask() cannot be
    /// used by `query_cache::with` with settings.
    virtual boost::asio::awaitable<cache_answer> ask(const cache_question& question);
    /// Returns what a session of the source is set to; nothing if that is not known. By default the source is asked for the
    /// defaults of its settings, by run().
    virtual boost::asio::awaitable<std::optional<std::string>> context();
    /// As run(), on the primary. By default run().
    virtual boost::asio::awaitable<result> run_on_primary(std::string_view sql, const params& args);
    /// A connection to the primary, to listen on; for `query_cache::follow` without connection options. By
    /// default `std::logic_error`.
    virtual boost::asio::awaitable<lease> acquire_to_listen();
};

} // namespace pgcoro
