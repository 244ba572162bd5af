#pragma once

#include <pgcoro/cluster/commit_token.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <string_view>

namespace PGCORO_API pgcoro
{

/// Where a cache's queries run. All its sessions are alike: the same database, role and settings, search_path
/// and TimeZone among them. A source whose answers may be older than a commit that was notified, such as a
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
    /// As run(), on the primary. By default run().
    virtual boost::asio::awaitable<result> run_on_primary(std::string_view sql, const params& args);
    /// A connection to the primary, to listen on; for `query_cache::follow` without connection options. By
    /// default `std::logic_error`.
    virtual boost::asio::awaitable<lease> acquire_to_listen();
};

} // namespace pgcoro
