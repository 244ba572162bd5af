#include "cache/catalog_version.hpp"

#include <pgcoro/types/types.hpp>

#include <optional>
#include <tuple>
#include <utility>

namespace pgcoro::detail
{

namespace
{

// By xmin: every change writes a row again, so that a change and its undoing count as well. TRUNCATE writes rows of pg_class:
// the xmin counts only for tables that can be kept. Objects of users begin at OID 16384.
constexpr const char* version_statement = R"(
with notifying as materialized (
    select oid, tgrelid, xmin as version from pg_catalog.pg_trigger where tgname = 'pgcoro_cache'
), tables as materialized (
    select c.oid, c.relname, c.relnamespace, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relnatts, c.relacl,
        case when c.relkind <> 'r' or c.oid in (select tgrelid from notifying) then c.xmin end as version
    from pg_catalog.pg_class c
    where c.oid >= 16384 and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and c.relpersistence <> 't'
), facts(fact) as (
    select pg_catalog.concat_ws(' ', 'table', oid, relname, relnamespace, relkind, relowner, relrowsecurity, relforcerowsecurity,
        relnatts, relacl, version)
    from tables
    union all
    select pg_catalog.concat_ws(' ', 'policy', oid, xmin) from pg_catalog.pg_policy
    union all
    select pg_catalog.concat_ws(' ', 'role', oid, rolname, rolsuper, rolinherit, rolbypassrls) from pg_catalog.pg_roles
    union all
    select pg_catalog.concat_ws(' ', 'member', roleid, member, xmin) from pg_catalog.pg_auth_members
    union all
    select pg_catalog.concat_ws(' ', 'column', a.attrelid, a.attnum, a.xmin)
    from pg_catalog.pg_attribute a join tables t on t.oid = a.attrelid where a.attnum > 0
    union all
    select pg_catalog.concat_ws(' ', 'child', inhrelid, inhparent, xmin) from pg_catalog.pg_inherits
    union all
    select pg_catalog.concat_ws(' ', 'view', oid, xmin) from pg_catalog.pg_rewrite where oid >= 16384
    union all
    select pg_catalog.concat_ws(' ', 'function', oid, xmin) from pg_catalog.pg_proc where oid >= 16384
    union all
    select pg_catalog.concat_ws(' ', 'operator', oid, xmin) from pg_catalog.pg_operator where oid >= 16384
    union all
    select pg_catalog.concat_ws(' ', 'cast', oid, xmin) from pg_catalog.pg_cast where oid >= 16384
    union all
    select pg_catalog.concat_ws(' ', 'type', oid, xmin) from pg_catalog.pg_type
    where oid >= 16384 and typtype <> 'c' and typcategory <> 'A'
    union all
    select pg_catalog.concat_ws(' ', 'label', oid, xmin) from pg_catalog.pg_enum where oid >= 16384
    union all
    select pg_catalog.concat_ws(' ', 'trigger', oid, version) from notifying
    union all
    select pg_catalog.concat_ws(' ', 'schema', oid, xmin) from pg_catalog.pg_namespace
    where oid >= 16384 and nspname not like 'pg\_%'
)
select s, case when s <> $1 then (
    select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(fact, 0))) from facts) end
from (select pg_catalog.pg_current_snapshot()::pg_catalog.text as s) now)";

} // namespace

boost::asio::awaitable<bool> catalog_version::read(connection& on)
{
    using columns = std::tuple<std::string, std::optional<std::string>>;
    auto [snapshot, digest] = co_await on.query_value<columns>(version_statement, snapshot_);
    snapshot_ = std::move(snapshot);
    if (!digest) co_return false;
    auto last = std::exchange(digest_, std::move(*digest));
    co_return last != digest_;
}

} // namespace pgcoro::detail
