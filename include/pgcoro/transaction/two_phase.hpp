#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// Commits what `transaction::prepare_transaction` prepared under this name, in this pool's database, from
/// whatever connection. When the connection is lost before the answer, the server is told again until
/// `within` is over: a name that is gone by then counts as done by this call, so give the commit and the
/// rollback of one name to one caller.
///
/// **Errors.** `server_error` 42704 when there is none of that name, 42501 when another user prepared it;
/// `commit_unknown` when no answer could be had in time: to be repeated; those of `pool::acquire`.
/// **Cancellation:** any kind; it may have been done.
boost::asio::awaitable<void> commit_prepared(pool& p, std::string_view gid,
                                             std::chrono::milliseconds within = std::chrono::seconds(30));

/// The same, rolling it back.
boost::asio::awaitable<void> rollback_prepared(pool& p, std::string_view gid,
                                               std::chrono::milliseconds within = std::chrono::seconds(30));

} // namespace pgcoro
