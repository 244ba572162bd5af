// Columns as PostgreSQL 13 to 18 have them ("The Cumulative Statistics System" and "System Views" in its
// documentation). A role without pg_read_all_stats sees of other roles' sessions their number, database and
// locks only.
#include <pgcoro/observe/server_view.hpp>

#include "base/shortened.hpp"
#include "connection/session.hpp"
#include "observe/utf8.hpp"
#include "sql/normalized.hpp"

#include <pgcoro/connection/identifier.hpp>
#include <pgcoro/error/error.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

namespace
{

// The columns of one row, before they find their place.
struct basics
{
    double time;
    std::int32_t version;
    std::string database;
    bool in_recovery;
    double uptime;
    std::int64_t connections;
    std::int64_t max_connections;
    std::int64_t reserved_connections;
    std::int64_t xid_age;
    std::optional<double> replay_lag;
    bool sees_all;
};
BOOST_DESCRIBE_STRUCT(basics, (),
                      (time, version, database, in_recovery, uptime, connections, max_connections,
                       reserved_connections, xid_age, replay_lag, sees_all))

constexpr auto basics_sql = R"(
select extract(epoch from clock_timestamp())::float8 as time,
    current_setting('server_version_num')::int as version,
    current_database()::text as database,
    pg_is_in_recovery() as in_recovery,
    extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 as uptime,
    (select coalesce(sum(numbackends), 0)::bigint from pg_stat_database) as connections,
    current_setting('max_connections')::bigint as max_connections,
    current_setting('superuser_reserved_connections')::bigint
        + coalesce(current_setting('reserved_connections', true)::bigint, 0) as reserved_connections,
    (select max(age(datfrozenxid))::bigint from pg_database) as xid_age,
    case when pg_is_in_recovery() then
        case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
        else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end
    end::float8 as replay_lag,
    pg_has_role(current_user, 'pg_read_all_stats', 'member') as sees_all)";

constexpr auto states_sql = R"(
select coalesce(state, '') as state, count(*)::bigint as n
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() group by 1)";

// Of this database: $1 a pattern of the state, $2 the least seconds, $3 how many, $4 whether with the text.
constexpr auto sessions_sql = R"(
select pid, coalesce(usename, '')::text as "user", coalesce(application_name, '') as application,
    coalesce(host(client_addr), '') as client, state,
    coalesce(wait_event_type || ': ' || wait_event, '') as wait_event,
    extract(epoch from clock_timestamp() - since)::float8 as seconds,
    coalesce(extract(epoch from clock_timestamp() - xact_start), 0)::float8 as transaction_seconds,
    case when $4 then left(query, 1000) else '' end as query
from (select *, case when state = 'active' then query_start else state_change end as since
      from pg_stat_activity) a
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
    and state like $1 and clock_timestamp() - since >= make_interval(secs => $2)
order by seconds desc limit $3)";

// $1 how many, $2 whether with the text. Since when a lock is waited for is known from PostgreSQL 14 on.
std::string blocked_sql(int version)
{
    std::string since = version >= 140'000 ? "coalesce(l.waitstart, a.query_start)" : "a.query_start";
    return R"(
select l.pid, pg_blocking_pids(l.pid) as blocked_by,
    coalesce(extract(epoch from clock_timestamp() - )" +
           since + R"(), 0)::float8 as seconds,
    l.locktype as lock, case when $2 then coalesce(left(a.query, 1000), '') else '' end as query
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where not l.granted and a.datname = current_database()
order by seconds desc limit $1)";
}

struct database_row
{
    std::int64_t commits;
    std::int64_t rollbacks;
    std::int64_t deadlocks;
    std::int64_t temp_bytes;
    std::optional<double> cache_hit_ratio;
};
BOOST_DESCRIBE_STRUCT(database_row, (), (commits, rollbacks, deadlocks, temp_bytes, cache_hit_ratio))

constexpr auto database_sql = R"(
select xact_commit as commits, xact_rollback as rollbacks, deadlocks, temp_bytes,
    blks_hit::float8 / nullif(blks_hit + blks_read, 0) as cache_hit_ratio
from pg_stat_database where datname = current_database())";

constexpr auto replicas_sql = R"(
select coalesce(application_name, '') as application, coalesce(state, '') as state,
    coalesce(sync_state, '') as sync_state,
    coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn()
                             else pg_current_wal_lsn() end, replay_lsn), 0)::bigint as lag_bytes,
    coalesce(extract(epoch from replay_lag), 0)::float8 as lag_seconds
from pg_stat_replication)";

constexpr auto statements_schema_sql = R"(
select n.nspname::text from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements')";

std::string top_statements_sql(const std::string& schema)
{
    return R"(
select query, calls, total_exec_time / 1000 as total_seconds, mean_exec_time / 1000 as mean_seconds, rows
from )" + identifier(schema) +
           R"(.pg_stat_statements s join pg_database d on d.oid = s.dbid
where d.datname = current_database() and query is not null and query <> '<insufficient privilege>'
order by total_exec_time desc limit $1)";
}

// The name under which the observer is told of statements, for a while.
class named_for_now
{
public:
    named_for_now(detail::session& s, std::string_view name)
        : session_(s)
        , before_(s.operation_name())
    {
        session_.name_operation(name);
    }
    named_for_now(const named_for_now&) = delete;
    named_for_now& operator=(const named_for_now&) = delete;
    ~named_for_now() { session_.name_operation(before_); }

private:
    detail::session& session_;
    operation_name before_;
};

double in_seconds(std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); }

// Rows of a part that the server may not let us see; why is put on `not_seen`.
template <class Row, class... Args>
asio::awaitable<std::vector<Row>> try_to_see(connection& c, const char* what,
                                             std::vector<std::string>& not_seen, const std::string& sql,
                                             const Args&... args)
{
    std::vector<Row> rows;
    try {
        rows = co_await c.query_as<Row>(sql, args...);
    } catch (const server_error& e) {
        not_seen.push_back(std::string(what) + ": " + detail::shortened(e.message()) + " (" + std::string(e.sqlstate().str()) +
                           ")");
    }
    co_return rows;
}

asio::awaitable<void> see_statements(connection& c, server_view& v, std::int32_t most)
{
    auto schema = co_await c.query_optional<std::string>(statements_schema_sql);
    if (!schema) {
        v.not_seen.push_back("top statements: the extension pg_stat_statements is not in this database");
        co_return;
    }
    auto sql = top_statements_sql(*schema);
    v.top_statements = co_await try_to_see<statement_view>(c, "top statements", v.not_seen, sql, most);
    // The server leaves some constants where they are, of utility statements before PostgreSQL 16.
    for (auto& s : v.top_statements) s.query = sql::without_constants(s.query);
}

} // namespace

asio::awaitable<server_view> inspect(connection& c, inspect_options options)
{
    if (c.in_transaction())
        throw std::logic_error("pgcoro: inspect() within a transaction, in which statistics stand still");
    named_for_now as(c.session(), "pgcoro inspect");
    server_view v;
    auto b = co_await c.query_value<basics>(basics_sql);
    v.time = b.time;
    v.version = b.version;
    v.database = b.database;
    v.in_recovery = b.in_recovery;
    v.uptime = b.uptime;
    v.connections = b.connections;
    v.max_connections = b.max_connections;
    v.reserved_connections = b.reserved_connections;
    v.xid_age = b.xid_age;
    v.replay_lag = b.replay_lag;
    if (!b.sees_all)
        v.not_seen.push_back("what other roles' sessions do, and standbys: this role is not a member of "
                             "pg_monitor (GRANT pg_monitor TO it)");

    auto states = co_await c.query_as<std::tuple<std::string, std::int64_t>>(states_sql);
    for (auto& [state, n] : states) v.sessions_by_state[state] = n;
    v.long_queries = co_await c.query_as<session_view>(sessions_sql, "active", in_seconds(options.long_query),
                                                       options.most, options.with_queries);
    v.idle_in_transaction =
        co_await c.query_as<session_view>(sessions_sql, "idle in transaction%", in_seconds(options.long_idle),
                                          options.most, options.with_queries);
    auto blocked = blocked_sql(v.version);
    v.blocked = co_await c.query_as<blocked_view>(blocked, options.most, options.with_queries);
    if (!v.blocked.empty()) v.longest_lock_wait = v.blocked.front().seconds;

    auto d = co_await c.query_value<database_row>(database_sql);
    v.commits = d.commits;
    v.rollbacks = d.rollbacks;
    v.deadlocks = d.deadlocks;
    v.temp_bytes = d.temp_bytes;
    v.cache_hit_ratio = d.cache_hit_ratio;
    v.replicas = co_await try_to_see<replica_view>(c, "standbys", v.not_seen, replicas_sql);
    co_await see_statements(c, v, options.most);
    detail::make_valid_utf8(v); // a database of the encoding SQL_ASCII sends what it was given
    co_return v;
}

asio::awaitable<std::vector<table_view>> sequential_scans(connection& c, std::int64_t least_rows,
                                                          std::int32_t most)
{
    named_for_now as(c.session(), "pgcoro inspect");
    auto found = co_await c.query_as<table_view>(R"(
select quote_ident(schemaname) || '.' || quote_ident(relname) as "table", '' as index,
    pg_table_size(relid) as bytes, n_live_tup as rows, seq_scan as scans, seq_tup_read as rows_read,
    coalesce(idx_scan, 0) as index_scans
from pg_stat_user_tables where seq_scan > 0 and n_live_tup >= $1
order by seq_tup_read desc limit $2)",
                                                 least_rows, most);
    detail::make_valid_utf8(found);
    co_return found;
}

asio::awaitable<std::vector<table_view>> unused_indexes(connection& c, std::int32_t most)
{
    named_for_now as(c.session(), "pgcoro inspect");
    auto found = co_await c.query_as<table_view>(R"(
select quote_ident(s.schemaname) || '.' || quote_ident(s.relname) as "table",
    quote_ident(s.indexrelname) as index, pg_relation_size(s.indexrelid) as bytes,
    t.n_live_tup as rows, s.idx_scan as scans, s.idx_tup_read as rows_read,
    coalesce(t.idx_scan, 0) as index_scans
from pg_stat_user_indexes s
join pg_index i on i.indexrelid = s.indexrelid
join pg_stat_user_tables t on t.relid = s.relid
where s.idx_scan = 0 and not i.indisunique
    and not exists (select from pg_constraint k where k.conindid = s.indexrelid)
order by bytes desc limit $1)",
                                                 most);
    detail::make_valid_utf8(found);
    co_return found;
}

} // namespace pgcoro
