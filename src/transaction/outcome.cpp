#include "transaction/outcome.hpp"

#include "connection/session.hpp"
#include "pool/pool_impl.hpp"
#include "base/server_questions.hpp"

#include <pgcoro/resilience/backoff.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <algorithm>
#include <optional>
#include <tuple>

namespace pgcoro::detail
{
namespace
{

constexpr std::chrono::seconds longest{30};
constexpr std::chrono::seconds in_any_case{5};

constexpr std::string_view has_standby = "pg_catalog.current_setting('synchronous_standby_names') <> ''";
constexpr std::string_view session_waits =
    "pg_catalog.current_setting('synchronous_commit') not in ('off', 'local')";

// Writes to the log, so that this statement's own commit waits for the standbys, as every commit before it in the log
// had to: if this session waits for them, or with `always`, if there are any. Gives true when what is committed here is
// durable.
std::string durability_expression(std::uint32_t rights, bool always)
{
    std::string waits(has_standby);
    if (!always) waits.append(" and ").append(session_waits);
    if (!(rights & server_right::message)) return "not (" + waits + ")";
    std::string written = "pg_catalog.pg_logical_emit_message(true, 'pgcoro', '') is not null";
    if (always) written += " and pg_catalog.set_config('synchronous_commit', 'on', true) is not null";
    return "(not (" + waits + ") or (" + written + "))";
}

// $1 the id, $2 the name of the prepared transaction, $3 the marker's key; NULL where there is none.
std::string outcome_query(std::uint32_t rights, bool has_id, bool has_gid, bool has_marker, bool needs_standby)
{
    auto allowed = [&](std::uint32_t right) { return (rights & right) == right; };
    std::string standby = "coalesce(pg_catalog.current_setting('in_hot_standby', true), 'off') = 'on'";
    if (allowed(server_right::timeline)) standby = "pg_catalog.pg_is_in_recovery()";
    std::string status = "'not asked'";
    // An id that is not below a new one has not been given yet: pg_xact_status would raise an error.
    if (has_id && allowed(server_right::status))
        status = "case when pg_catalog.pg_is_in_recovery() then 'not asked' "
                 "when $1::pg_catalog.xid8 < pg_catalog.pg_current_xact_id() "
                 "then coalesce(pg_catalog.pg_xact_status($1::pg_catalog.xid8), 'forgotten') "
                 "else 'not assigned' end";
    std::string prepared = "false";
    if (has_gid && has_id && allowed(server_right::prepared))
        prepared = "exists (select from pg_catalog.pg_prepared_xacts where gid = $2 and "
                   "database = pg_catalog.current_database() and transaction = "
                   "pg_catalog.xid($1::pg_catalog.xid8))";
    std::string marker = "null::pg_catalog.bool";
    if (has_marker && allowed(server_right::marker))
        marker = "(select blocks from pgcoro.commit_marker where key = $3::pg_catalog.uuid)";
    return "select o.*, case when o.status = 'committed' or o.prepared or not o.blocks then " +
           durability_expression(rights, needs_standby) + " else false end from (select " + identity_expression(rights) +
           " as server, " + standby + " as standby, " + status + " as status, " + prepared + " as prepared, " + marker +
           " as blocks, $1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text offset 0) as o";
}

outcome_answer::status status_of(std::string_view text)
{
    using enum outcome_answer::status;
    if (text == "committed") return committed;
    if (text == "aborted") return aborted;
    if (text == "in progress") return in_progress;
    if (text == "not assigned") return not_assigned;
    if (text == "forgotten") return forgotten;
    return not_asked;
}

// `blocks` of the row; null without a row.
outcome_answer::marker marker_of(std::optional<bool> blocks)
{
    using enum outcome_answer::marker;
    if (!blocks) return absent;
    return *blocks ? blocked : found;
}

std::optional<std::string> optional_text(const std::string& text)
{
    if (text.empty()) return std::nullopt;
    return text;
}

asio::awaitable<result> run_bounded(session& s, const std::string& sql, params args, deadline limit)
{
    prologue bounded;
    bounded.deadline = limit.time();
    request r;
    r.sql = sql;
    r.args = &args;
    r.with = &bounded;
    r.sent_as = sql; // not worth preparing
    r.internal = true;
    auto got = co_await s.run(r);
    co_return got;
}

// The rights of the session's role, asked for once a session. By a statement of its own: not in a transaction.
asio::awaitable<void> learn_rights(session& s, deadline limit)
{
    if (s.server().asked) co_return;
    std::string sql(rights_and_marker_query);
    params none;
    auto got = co_await run_bounded(s, sql, std::move(none), limit);
    learn(s.server(), got.as_optional<std::optional<std::string>>().value_or(std::nullopt).value_or("0"));
}

[[noreturn]] void throw_not_confirmed()
{
    throw error("the server stopped waiting for its synchronous standby");
}

// Puts a row with the marker's key there, if its transaction has not done so. Waits while that transaction is under way.
// Where the answer is lost, the next question finds the row, and that it is not the transaction's.
asio::awaitable<void> block_marker(session& s, const std::string& key, outcome_answer& a, deadline limit)
{
    auto sql = "with mine as (insert into pgcoro.commit_marker (key, blocks) values ($1::pg_catalog.uuid, true) "
               "on conflict (key) do nothing returning 1) select exists (select from mine), " +
               identity_expression(s.server().may);
    auto args = params::of(key);
    auto got = co_await run_bounded(s, sql, std::move(args), limit);
    auto [mine, server] = got.as_value<std::tuple<bool, std::string>>();
    if (!mine) co_return; // the next question finds it
    if (s.take_unreplicated()) throw_not_confirmed();
    a.row = outcome_answer::marker::blocked;
    a.server = parse_server_identity(server);
}

asio::awaitable<outcome_answer> ask(const transaction_core& core, connection_source& from,
                                    const outcome_keys& keys, deadline limit)
{
    lease held = co_await from.acquire(time_left(limit));
    auto& s = held->session();
    co_await learn_rights(s, limit);
    // Cancelled, a wait for a standby would end as if the standby had answered.
    never_cancelled guard(s);
    auto sql = outcome_query(s.server().may, !core.id().empty(), !keys.gid.empty(), core.marked(), core.needs_standby());
    auto args = params::of(optional_text(core.id()), optional_text(keys.gid), optional_text(keys.marker));
    auto got = co_await run_bounded(s, sql, std::move(args), limit);
    if (s.take_unreplicated()) throw_not_confirmed();
    outcome_answer a;
    a.server = parse_server_identity(got[0][0].as<std::string>());
    a.standby = got[0][1].as<bool>();
    a.id = status_of(got[0][2].as<std::string>());
    a.prepared = got[0][3].as<bool>();
    if (core.marked()) a.row = marker_of(got[0][4].as<std::optional<bool>>());
    a.durable = got[0][8].as<bool>();
    bool may_block = a.row == outcome_answer::marker::absent && !a.standby && core.may_block(a.server) &&
                     (s.server().may & server_right::marker);
    if (may_block) co_await block_marker(s, keys.marker, a, limit);
    co_return a;
}

// Could the same question have an answer later?
bool may_pass(const error& e)
{
    if (dynamic_cast<const pool_closed*>(&e)) return false;
    auto what = classify(e.sqlstate());
    return e.is_transient() || !e.sqlstate() || what == failure_class::retry_on_request ||
           what == failure_class::timeout_or_cancel || what == failure_class::retry_transaction;
}

} // namespace

asio::awaitable<lease> pool_source::acquire(std::chrono::milliseconds within)
{
    return pool_->acquire(within, std::source_location());
}

asio::awaitable<server_state> ask_server(session& s, std::string gid, deadline limit)
{
    co_await learn_rights(s, limit);
    s.take_unreplicated();
    auto may = s.server().may;
    std::string prepared = may & server_right::prepared
                               ? "exists (select from pg_catalog.pg_prepared_xacts where gid = $1 and database = "
                                 "pg_catalog.current_database())"
                               : "$1::pg_catalog.text is null";
    auto sql = "select " + identity_expression(may) + ", " + durability_expression(may, false) + ", " + prepared;
    auto args = params::of(gid);
    auto got = co_await run_bounded(s, sql, std::move(args), limit);
    auto [identity, durable, there] = got.as_value<std::tuple<std::string, bool, bool>>();
    server_state now{parse_server_identity(identity), durable && !s.take_unreplicated(), there};
    co_return now;
}

asio::awaitable<void> find_outcome(transaction_core& core, connection_source& from, outcome_keys keys, deadline until,
                                   std::exception_ptr lost)
{
    const std::string end = core.how() == transaction_core::closing::commit ? "COMMIT" : "PREPARE TRANSACTION";
    auto limit = std::max(earlier(until, deadline::after(longest)), deadline::after(in_any_case));
    auto pause =
        backoff::exponential(std::chrono::milliseconds(5), std::chrono::milliseconds(500), jitter::none);
    auto next = core.now() == transaction_core::state::unknown ? transaction_core::decision::report_unknown
                                                               : transaction_core::decision::ask_outcome;
    std::string trouble;
    for (int asked = 1; next == transaction_core::decision::ask_outcome && !limit.expired(); ++asked) {
        try {
            auto answer = co_await ask(core, from, keys, limit);
            next = core.outcome(answer);
            trouble.clear();
        } catch (const error& e) {
            trouble = "asking for the outcome of the transaction failed: " + e.message();
            if (!may_pass(e)) break;
        }
        if (next == transaction_core::decision::ask_outcome)
            co_await time_source::steady().sleep_for(pause.curve(asked));
    }
    if (core.took_no_effect() || core.succeeded()) co_return;
    core.give_up(trouble);
    throw_unknown("the connection broke during " + end +
                      ", and whether it took place could not be found out: " + core.reason(),
                  lost);
}

void throw_unknown(const std::string& what, const std::exception_ptr& lost)
{
    commit_unknown unknown(what);
    try {
        if (lost) std::rethrow_exception(lost);
    } catch (const error& e) {
        unknown.add_note(e.what());
    } catch (...) {
        // Says nothing of use to a reader.
    }
    throw unknown;
}

std::chrono::milliseconds time_left(const deadline& limit)
{
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(limit.remaining()),
                    std::chrono::milliseconds(1));
}

} // namespace pgcoro::detail
