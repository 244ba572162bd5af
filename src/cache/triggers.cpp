// The triggers by which tables tell of their changes.
#include "cache/catalog.hpp"

#include <pgcoro/cache/coherence.hpp>
#include <pgcoro/types/arrays.hpp>

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

namespace
{

constexpr const char* function_statement = R"(
create or replace function pgcoro_cache_changed() returns trigger language plpgsql set search_path = pg_catalog as
$$ begin perform pg_notify('pgcoro_cache', tg_table_schema || '.' || tg_table_name); return null; end $$)";

// Those tables and all below them, by whether they have the trigger.
constexpr const char* tables_statement = R"(
with recursive below(id) as (
    select n::pg_catalog.regclass::pg_catalog.oid from pg_catalog.unnest($1::pg_catalog.text[]) n
    union
    select i.inhrelid from pg_catalog.pg_inherits i join below b on i.inhparent = b.id
)
select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
from below b join pg_catalog.pg_class c on c.oid = b.id join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where $2 = exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgname = 'pgcoro_cache')
order by 1)";

// Any 64-bit number does, as long as all processes take the same: two that replace one function at the same
// time fail.
constexpr const char* lock_statement = "select pg_advisory_xact_lock(8100276395416683631)";

asio::awaitable<void> change(connection& on, std::vector<std::string> tables, bool install)
{
    co_await on.execute("begin");
    std::exception_ptr failure;
    try {
        co_await on.execute(lock_statement);
        if (install) co_await on.execute(function_statement);
        auto found = co_await on.query_as<std::string>(tables_statement, tables, !install);
        for (auto& table : found) {
            std::string sql =
                install ? "create trigger pgcoro_cache after insert or update or delete or truncate on " +
                              table + " for each statement execute function pgcoro_cache_changed()"
                        : "drop trigger pgcoro_cache on " + table;
            co_await on.execute(sql);
        }
        co_await on.execute("commit");
    } catch (const server_error&) {
        failure = std::current_exception();
    }
    if (!failure) co_return;
    co_await on.execute("rollback");
    std::rethrow_exception(failure);
}

} // namespace

void coherence_options::validate() const
{
    if (bound.count() < 40)
        throw std::invalid_argument("coherence_options.bound is " + std::to_string(bound.count()) +
                                    " ms and must be 40 ms or more");
}

asio::awaitable<void> install_cache_triggers(connection& on, std::vector<std::string> tables)
{
    return change(on, std::move(tables), true);
}

asio::awaitable<void> remove_cache_triggers(connection& on, std::vector<std::string> tables)
{
    return change(on, std::move(tables), false);
}

} // namespace pgcoro
