#pragma once

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/export.hpp>

#include <boost/describe/class.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A session as pg_stat_activity has it. The text of its statement is left out unless it was asked for: it
/// may hold values.
struct session_view
{
    std::int32_t pid = 0;
    std::string user;
    std::string application;
    std::string client;
    std::string state;
    std::string wait_event; ///< "Lock: transactionid"; empty when it waits for nothing
    double seconds = 0;     ///< in this state, or since its statement began
    double transaction_seconds = 0;
    std::string query;
};
BOOST_DESCRIBE_STRUCT(session_view, (),
                      (pid, user, application, client, state, wait_event, seconds, transaction_seconds,
                       query))

/// Who waits for a lock, and for whom.
struct blocked_view
{
    std::int32_t pid = 0;
    std::vector<std::int32_t> blocked_by; ///< pg_blocking_pids; 0 stands for a prepared transaction
    double seconds = 0;                   ///< waited so far; of its statement before PostgreSQL 14
    std::string lock;                     ///< "transactionid", "tuple", "relation" …
    std::string query;
};
BOOST_DESCRIBE_STRUCT(blocked_view, (), (pid, blocked_by, seconds, lock, query))

/// A standby of this server.
struct replica_view
{
    std::string application;
    std::string state;
    std::string sync_state;
    std::int64_t lag_bytes = 0;
    double lag_seconds = 0;
};
BOOST_DESCRIBE_STRUCT(replica_view, (), (application, state, sync_state, lag_bytes, lag_seconds))

/// A statement as pg_stat_statements has it.
struct statement_view
{
    std::string query; ///< with $1 … in place of literals
    std::int64_t calls = 0;
    double total_seconds = 0;
    double mean_seconds = 0;
    std::int64_t rows = 0;
};
BOOST_DESCRIBE_STRUCT(statement_view, (), (query, calls, total_seconds, mean_seconds, rows))

/// The server's own view of itself. What could not be seen is empty, and said in `not_seen`.
struct server_view
{
    double time = 0; ///< since 1970, by the server's clock
    std::int32_t version = 0;
    std::string database;
    bool in_recovery = false;
    double uptime = 0;

    std::int64_t connections = 0; ///< client sessions of all databases
    std::int64_t max_connections = 0;
    std::int64_t reserved_connections = 0;                 ///< of these, for superusers
    std::map<std::string, std::int64_t> sessions_by_state; ///< of this database; "" where it is not shown
    std::vector<session_view> long_queries;
    std::vector<session_view> idle_in_transaction;
    std::vector<blocked_view> blocked;
    double longest_lock_wait = 0;

    // Of this database, since its statistics were reset.
    std::int64_t commits = 0;
    std::int64_t rollbacks = 0;
    std::int64_t deadlocks = 0;
    std::int64_t temp_bytes = 0;
    std::optional<double> cache_hit_ratio; ///< of the server's buffers; nothing before the first read

    std::int64_t xid_age = 0; ///< of the oldest database: the server stops near 2^31
    std::vector<replica_view> replicas;
    std::optional<double> replay_lag; ///< on a standby that replays: behind its primary; 0 when it has all
    std::vector<statement_view> top_statements; ///< by total time

    std::vector<std::string> not_seen; ///< what is missing, why, and what would show it
};
BOOST_DESCRIBE_STRUCT(server_view, (),
                      (time, version, database, in_recovery, uptime, connections, max_connections,
                       reserved_connections, sessions_by_state, long_queries, idle_in_transaction, blocked,
                       longest_lock_wait, commits, rollbacks, deadlocks, temp_bytes, cache_hit_ratio, xid_age,
                       replicas, replay_lag, top_statements, not_seen))

/// What `inspect` looks for.
struct inspect_options
{
    std::chrono::milliseconds long_query{5'000};
    std::chrono::milliseconds long_idle{5'000}; ///< in transaction
    std::int32_t most = 20;                     ///< of each list
    bool with_queries = false;                  ///< texts of running statements, values in them included
};

/// Asks the server how it is, with some ten short statements on catalogs and statistics. PostgreSQL 13 to 18.
/// A role without pg_monitor sees less; that is no error, but said in `not_seen`. The observer is told them
/// as the operation "pgcoro inspect". Not within a transaction, where statistics stand still: throws
/// `std::logic_error`. Errors and cancellation otherwise as `connection::query`.
boost::asio::awaitable<server_view> inspect(connection& c, inspect_options options = {});

/// A table, or an index, that deserves a look.
struct table_view
{
    std::string table;
    std::string index;            ///< empty for the table itself
    std::int64_t bytes = 0;       ///< on disk, of the table or the index
    std::int64_t rows = 0;        ///< estimated
    std::int64_t scans = 0;       ///< sequential scans of the table; index scans of the index
    std::int64_t rows_read = 0;   ///< by them
    std::int64_t index_scans = 0; ///< of the table, by whatever index
};
BOOST_DESCRIBE_STRUCT(table_view, (), (table, index, bytes, rows, scans, rows_read, index_scans))

/// Tables of at least `least_rows` that are read from end to end, those with the most rows read so first
/// (pg_stat_user_tables). Counted since the statistics were reset.
boost::asio::awaitable<std::vector<table_view>> sequential_scans(connection& c,
                                                                 std::int64_t least_rows = 10'000,
                                                                 std::int32_t most = 20);

/// Indexes that were never scanned, the largest first (pg_stat_user_indexes), without those that enforce a
/// constraint or uniqueness. On a standby, or soon after a reset, that says little.
boost::asio::awaitable<std::vector<table_view>> unused_indexes(connection& c, std::int32_t most = 20);

} // namespace pgcoro
