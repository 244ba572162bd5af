#include "base/server_questions.hpp"

#include <charconv>

namespace pgcoro::detail
{

// Amazon Aurora has the functions about the log, and raises an error in them.
#define PGCORO_RIGHTS                                                                                        \
    "select f.bit from (values "                                                                             \
    "(1, '{pg_current_xact_id_if_assigned(),pg_current_xact_id(),pg_backend_pid()}'::pg_catalog.text[]), "   \
    "(2, '{pg_control_system()}'), "                                                                         \
    "(4, '{pg_walfile_name(pg_lsn),pg_current_wal_insert_lsn(),pg_is_in_recovery()}'), "                     \
    "(8, '{pg_postmaster_start_time()}'), "                                                                  \
    "(16, '{pg_stat_get_bgwriter_stat_reset_time(),pg_stat_get_archiver()}'), "                              \
    "(32, '{pg_xact_status(xid8),pg_current_xact_id(),pg_is_in_recovery()}'), "                              \
    "(128, '{pg_prepared_xact()}'), "                                                                        \
    "(512, '{pg_control_checkpoint(),pg_control_recovery()}')) as f(bit, names) "                            \
    "where (select pg_catalog.bool_and(coalesce(pg_catalog.has_function_privilege("                          \
    "pg_catalog.to_regprocedure('pg_catalog.' || n.name), 'execute'), false)) "                              \
    "from pg_catalog.unnest(f.names) as n(name)) "                                                           \
    "and not (f.bit = 4 and pg_catalog.to_regproc('pg_catalog.aurora_version') is not null) "                \
    "union all select 64 where pg_catalog.has_function_privilege(coalesce("                                  \
    "pg_catalog.to_regprocedure('pg_catalog.pg_logical_emit_message(boolean,text,text)'), "                  \
    "pg_catalog.to_regprocedure('pg_catalog.pg_logical_emit_message(boolean,text,text,boolean)')), 'execute') "
#define PGCORO_MARKER_RIGHT                                                                                  \
    "union all select 256 from pg_catalog.pg_class as c "                                                    \
    "join pg_catalog.pg_namespace as s on s.oid = c.relnamespace "                                           \
    "join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = 'blocks' "                      \
    "where s.nspname = 'pgcoro' and c.relname = 'commit_marker' "                                            \
    "and pg_catalog.has_schema_privilege(s.oid, 'usage') "                                                   \
    "and pg_catalog.has_table_privilege(c.oid, 'insert') and pg_catalog.has_table_privilege(c.oid, 'select') "
#define PGCORO_SUM_OF(rights) "select pg_catalog.sum(r.bit)::pg_catalog.text from (" rights ") as r"

const std::string_view rights_query = PGCORO_SUM_OF(PGCORO_RIGHTS);
const std::string_view rights_and_marker_query = PGCORO_SUM_OF(PGCORO_RIGHTS PGCORO_MARKER_RIGHT);

#undef PGCORO_SUM_OF
#undef PGCORO_MARKER_RIGHT
#undef PGCORO_RIGHTS

const std::string_view id_query =
    "select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text || ' ' || "
    "pg_catalog.pg_backend_pid()::pg_catalog.text";

std::string identity_expression(std::uint32_t rights)
{
    auto number = [&](std::uint32_t right, const char* expression) {
        return rights & right ? std::string(expression) : std::string("'0'");
    };
    const std::string gap = " || ' ' || ";
    return "(" +
           number(server_right::system,
                  "(select system_identifier::pg_catalog.text from pg_catalog.pg_control_system())") +
           gap +
           // In hexadecimal, as the name of a file of the log begins. A standby writes no log.
           number(server_right::timeline,
                  "case when pg_catalog.pg_is_in_recovery() then '0' else (('x' || pg_catalog.substr("
                  "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::"
                  "pg_catalog.int8)::pg_catalog.text end") +
           gap +
           number(server_right::started,
                  "(extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::pg_catalog.int8::"
                  "pg_catalog.text") +
           gap +
           number(server_right::statistics,
                  "coalesce((extract(epoch from pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::"
                  "pg_catalog.int8, 0)::pg_catalog.text || ' ' || coalesce((select (extract(epoch from stats_reset) * "
                  "1000000)::pg_catalog.int8 from pg_catalog.pg_stat_get_archiver()), 0)::pg_catalog.text") +
           ")";
}

void learn(server_knowledge& of, std::string_view rights)
{
    of.asked = true;
    of.may = 0;
    std::from_chars(rights.data(), rights.data() + rights.size(), of.may);
    auto with_identity = [&](std::string_view function) {
        // The identity costs some microseconds, and is of no use without an id.
        return "select case when x.id is not null then x.id::pg_catalog.text || ' ' || "
               "pg_catalog.pg_backend_pid()::pg_catalog.text || ' ' || " +
               identity_expression(of.may) + " end from pg_catalog." + std::string(function) + "() as x(id)";
    };
    of.identity_query = with_identity("pg_current_xact_id_if_assigned");
    of.new_id_query = with_identity("pg_current_xact_id");
}

told_id parse_told_id(std::string_view text)
{
    told_id told;
    auto gap = text.find(' ');
    told.id = text.substr(0, gap);
    if (gap == text.npos) return told;
    text.remove_prefix(gap + 1);
    std::from_chars(text.data(), text.data() + text.size(), told.backend);
    gap = text.find(' ');
    if (gap == text.npos) return told;
    told.has_identity = true;
    told.identity = parse_server_identity(text.substr(gap + 1));
    return told;
}

} // namespace pgcoro::detail
