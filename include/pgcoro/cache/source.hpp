#pragma once

#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <string_view>

namespace PGCORO_API pgcoro
{

/// Where a cache's queries run. All its sessions are alike: the same database, role and settings, search_path
/// and TimeZone among them. A source whose answers may be older than a commit that was notified, such as a
/// replica, must not serve a coherent cache.
class cache_source
{
public:
    virtual ~cache_source();

    /// Runs one statement, from whatever thread; several at once.
    virtual boost::asio::awaitable<result> run(std::string_view sql, const params& args) = 0;
};

} // namespace pgcoro
