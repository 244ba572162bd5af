#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>

namespace PGCORO_API pgcoro
{

/// Creates the table that `resolve_commit::by_marker` needs, `pgcoro.commit_marker`, with its schema, if they are not
/// there: `key uuid primary key, at timestamptz, blocks boolean`. To be called once for a database, by its owner; roles that run
/// transactions need USAGE on the schema and SELECT and INSERT on the table, which this function grants to PUBLIC. Where
/// logical replication takes part in a switch-over, publish the table as well.
///
/// A transaction with `by_marker` that writes inserts one row, in the round trip of its COMMIT. The row survives a
/// crash, a failover to a standby that has it, and a pooler, and it is found on servers that do not know the
/// transaction's id. It costs about as much as any other insert of one small row. After a lost COMMIT whose row is not
/// there, the caller inserts a row of the same key with `blocks`, which keeps the transaction from committing later.
///
/// @par Errors
/// Those of `pool::acquire` and of statements; 42501 without the right to create a schema.
/// @par Cancellation
/// Any kind.
boost::asio::awaitable<void> create_commit_markers(pool& p);

/// Deletes the markers that are older than `age`, `batch` rows a statement, each in a transaction of its own, and
/// returns their number. To be called now and then, for instance each hour. A marker is needed for as long as
/// somebody may ask for it, which is some minutes at most.
///
/// @param p a pool of the database with the table
/// @param age at least 10 minutes, one day by default
/// @param batch at least 1, 10,000 by default
///
/// @par Errors
/// `std::invalid_argument` for a parameter out of its range; those of `pool::acquire` and of statements.
/// @par Cancellation
/// Any kind; the batches that are done stay done.
boost::asio::awaitable<std::uint64_t> remove_commit_markers(pool& p, std::chrono::minutes age = std::chrono::hours(24),
                                                            std::uint32_t batch = 10000);

} // namespace pgcoro
