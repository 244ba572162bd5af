#include "cluster/statement_kinds.hpp"

namespace pgcoro::detail
{

const std::string_view no_volatile_function_query =
    "select not exists (select from rows from (pg_catalog.unnest($1::pg_catalog.text[]), "
    "pg_catalog.unnest($2::pg_catalog.text[])) as called(schema_name, function_name) "
    "where not coalesce((select pg_catalog.bool_and(p.provolatile <> 'v') "
    "from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace "
    "where p.proname = called.function_name and called.schema_name in ('', n.nspname)), false))";

std::optional<bool> statement_kinds::is_read(std::string_view sql) const
{
    std::shared_lock lock(mutex_);
    auto it = known_.find(sql);
    if (it == known_.end()) return std::nullopt;
    return it->second;
}

void statement_kinds::remember(std::string_view sql, bool read)
{
    std::unique_lock lock(mutex_);
    if (known_.size() >= most) known_.clear();
    known_.insert_or_assign(std::string(sql), read);
}

} // namespace pgcoro::detail
