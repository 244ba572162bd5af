// The key by which two sessions have interchangeable results.
#include "connection/context_key.hpp"

#include "connection/session_impl.hpp"
#include "connection/settings.hpp"

#include <pgcoro/error/error.hpp>

#include <array>

namespace pgcoro::detail
{

// reset_val is the value that RESET restores, whatever is set now. The role is the one that logged in, whatever SET SESSION
// AUTHORIZATION says. No word in it sends it through the parser ("[t]emp"). What ALTER ROLE and ALTER DATABASE set is listed by
// itself, because pg_settings does not show settings that no extension has defined. Settings without influence on results are
// left out: time limits, the planner's, memory, logs.
const char* const defaults_query = R"(
select pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(E'\n',
    login.role, login.database,
    (select pg_catalog.string_agg(name || '=' || coalesce(reset_val, ''), E'\n' order by name collate "C")
     from pg_catalog.pg_settings
     where context in ('user', 'superuser') and (name like '%.%' or not (
            name ~ '^(log_|debug_|trace_|track_|enable_|geqo|jit|effective_|vacuum_|wal_|commit_|transaction_|default_transaction_|tcp_|parallel_|[t]emp_|stats_|max_parallel_|min_parallel_)'
            or name ~ '(_timeout|_cost|_mem|_flush_after|_buffers|_collapse_limit|_sample_rate)$'
            or name in ('application_name', 'client_min_messages', 'cursor_tuple_fraction', 'synchronous_commit',
                'session_replication_role', 'lc_messages', 'role', 'session_authorization', 'seed', 'plan_cache_mode',
                'constraint_exclusion', 'compute_query_id', 'recursive_worktable_factor', 'update_process_title',
                'default_statistics_target', 'maintenance_io_concurrency', 'hash_mem_multiplier', 'gin_pending_list_limit',
                'max_stack_depth', 'client_connection_check_interval', 'backtrace_functions', 'password_encryption')))),
    (select pg_catalog.string_agg(s.setconfig::pg_catalog.text, E'\n' order by s.setdatabase, s.setrole)
     from pg_catalog.pg_db_role_setting s
     where s.setdatabase in (0, login.database) and s.setrole in (0, login.role))), 'UTF8')), 'base64')
from (select (select a.usesysid from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a) as role,
             (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()) as database) login)";

std::string session_impl::reported_settings() const
{
    static constexpr std::array<const char*, 6> names{
        "TimeZone", "DateStyle", "IntervalStyle", "session_authorization", "standard_conforming_strings", "search_path"};
    std::string all;
    for (auto* name : names) {
        auto* value = PQparameterStatus(pg(), name);
        all.append(value ? value : "") += '\0';
    }
    return all;
}

std::optional<std::string> session_impl::context_key() const
{
    auto& context = effects.context();
    if (defaults.fingerprint.empty() || !context.is_known()) return std::nullopt;
    auto key = defaults.fingerprint;
    // A called function may have changed a setting, which its caller's text does not show.
    if (auto reported = reported_settings(); reported != defaults.reported) key.append("\n").append(reported);
    if (auto digest = context.digest(); !digest.empty()) key.append("\n").append(digest);
    return key;
}

std::string session_impl::parse_settings(const session_context& of) const
{
    auto settings = of.parse_settings();
    if (of.may_be_set())
        if (auto reported = reported_settings(); reported != defaults.reported) settings.append("\n").append(reported);
    return settings;
}

asio::awaitable<void> session_impl::learn_context()
{
    if (defaults.asked) co_return;
    request r;
    r.sql = defaults_query;
    r.sent_as = defaults_query;
    r.internal = true;
    std::exception_ptr refused;
    try {
        auto got = co_await run_plain(r);
        defaults.fingerprint = got.as_value<std::string>();
    } catch (const server_error&) { // another product, or rights that were taken away: it stays unknown
        refused = std::current_exception();
    }
    defaults.asked = true;
    if (refused && !is_idle()) std::rethrow_exception(refused); // a transaction has failed with it
    if (refused) co_return;
    for (auto& own : {unlisted_settings_in(PQoptions(pg())), settings_of_transaction})
        if (!own.empty()) defaults.fingerprint.append("\n").append(own);
}

} // namespace pgcoro::detail
