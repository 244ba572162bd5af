#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// Commits what `transaction::prepare_transaction` prepared under this name, in this pool's database, on any connection
/// of the pool. If the answer is lost, the statement is sent again until `within` is over. A name that was there before
/// and is gone afterwards counts as done by this call, if the server has not crashed or been replaced meanwhile; so one
/// caller ends one name. Two round trips, and a third on a connection's first use.
///
/// @par Errors
/// `server_error` 42704 if there is no transaction of that name, 42501 if another user prepared it; `commit_unknown`
/// for every failure after the statement was sent once: look at pg_prepared_xacts, or repeat the call; before that,
/// those of `pool::acquire`.
/// @par Cancellation
/// Any kind; the statement may take effect.
boost::asio::awaitable<void> commit_prepared(pool& p, std::string_view gid,
                                             std::chrono::milliseconds within = std::chrono::seconds(30));

/// As commit_prepared(), for ROLLBACK PREPARED.
boost::asio::awaitable<void> rollback_prepared(pool& p, std::string_view gid,
                                               std::chrono::milliseconds within = std::chrono::seconds(30));

} // namespace pgcoro
