#include "cli/locks.hpp"

#include "cli/exit_codes.hpp"
#include "cli/lock_tree.hpp"
#include "cli/target.hpp"
#include "cli/text.hpp"

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/error/error.hpp>

#include <algorithm>

namespace pgcoro::cli
{

namespace asio = boost::asio;

namespace
{

// pg_blocking_pids is asked once a session. Since when a lock is waited for is known from PostgreSQL 14 on.
std::string sessions_sql(int version)
{
    std::string since = version >= 140'000 ? "coalesce(w.waitstart, a.query_start)" : "a.query_start";
    return R"(
with waiting as materialized (
    select l.pid, min(l.mode || ' on ' || coalesce(l.relation::regclass::text, l.locktype)) as lock, )" +
           std::string(version >= 140'000 ? "min(l.waitstart) as waitstart, " : "") +
           R"(pg_blocking_pids(l.pid) as blocked_by
    from pg_locks l
    where not l.granted
        -- a lock of another database has a table that we cannot name
        and (l.database is null or l.database in (0, (select oid from pg_database where datname = current_database())))
    group by l.pid),
concerned as (
    select pid from waiting union select unnest(blocked_by) from waiting)
select c.pid, coalesce(w.blocked_by, '{}') as blocked_by, coalesce(a.usename, '')::text as "user",
    coalesce(a.application_name, '') as application, coalesce(a.state, '') as state,
    coalesce(extract(epoch from clock_timestamp() -
        case when w.pid is not null then )" +
           since +
           R"( when a.state = 'active' then a.query_start else a.state_change end), 0)::float8 as seconds,
    coalesce(w.lock, '') as lock, case when $1 then coalesce(left(a.query, 1000), '') else '' end as query
from concerned c left join waiting w using (pid) left join pg_stat_activity a on a.pid = c.pid
order by c.pid)";
}

asio::awaitable<void> ask(const connection_options& o, bool with_queries, std::vector<lock_session>& into)
{
    auto c = co_await connection::connect(o);
    auto sql = sessions_sql(c.server_version());
    into = co_await c.query_as<lock_session>(sql, with_queries);
}

} // namespace

asio::awaitable<int> locks(const settings& s, terminal& out)
{
    auto o = target_of(s.common, "locks");
    std::vector<lock_session> sessions;
    if (!co_await within(2 * timeout_of(s.common), ask(o, s.locks.show_queries, sessions)))
        throw connection_error(connection_failure::timeout, describe_target(o) + " does not answer within " +
                                                                duration(2 * s.common.timeout));
    double longest = 0;
    std::size_t waiting = 0;
    for (auto& one : sessions) {
        if (one.blocked_by.empty()) continue;
        ++waiting;
        longest = std::max(longest, one.seconds);
    }
    auto roots = make_lock_tree(sessions);
    if (s.common.json()) {
        boost::json::object all;
        all["waiting"] = waiting;
        all["longest_seconds"] = longest;
        all["roots"] = to_json(roots);
        out.write_json(all);
    } else if (waiting == 0) {
        out.write("nobody waits for a lock");
    } else {
        out.write(std::to_string(waiting) + (waiting == 1 ? " session waits" : " sessions wait") +
                  ", the longest for " + duration(longest));
        out.write("");
        out.write(to_lines(roots));
        auto first = roots.front().session->pid;
        if (first != 0) {
            out.write("");
            out.write("To end the first: " + paint(color::cyan, "psql -c 'select pg_terminate_backend(" +
                                                                    std::to_string(first) + ")'"));
        }
    }
    if (waiting == 0) co_return exit_ok;
    co_return longest > s.locks.critical ? exit_critical : exit_warning;
}

} // namespace pgcoro::cli
