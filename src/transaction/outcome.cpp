#include "transaction/outcome.hpp"

#include "connection/session.hpp"

#include <pgcoro/resilience/backoff.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <algorithm>
#include <optional>
#include <tuple>

namespace pgcoro::detail
{
namespace
{

// No timeline on a standby, which has no end of the WAL of its own to name; nor has it ids to give. With when
// the statistics were begun: a crash takes ids with it whose WAL was not safe yet, and they are given once
// more then. Recovery begins the statistics anew, after the crash of the whole server as after that of one of
// its processes; a clean restart, which loses nothing, keeps them (PostgreSQL, "The Cumulative Statistics
// System").
#define PGCORO_TIMELINE                                                                                      \
    "case when pg_catalog.pg_is_in_recovery() then '' else pg_catalog.substr(pg_catalog.pg_walfile_name("    \
    "pg_catalog.pg_current_wal_insert_lsn()), 1, 8) || '@' || pg_catalog.date_part('epoch', coalesce("       \
    "pg_catalog.pg_stat_get_bgwriter_stat_reset_time(), pg_catalog.clock_timestamp())) end"

// Not looked up on an older timeline, which may never have seen the transaction though it is committed.
constexpr std::string_view outcome_query =
    "select t.line, case when pg_catalog.substr(t.line, 1, 8) >= pg_catalog.substr($2, 1, 8) then "
    "pg_catalog.pg_xact_status($1::pg_catalog.xid8) end, "
    "exists (select from pg_catalog.pg_prepared_xacts where gid = $3 and "
    "database = pg_catalog.current_database()) from (select " PGCORO_TIMELINE " as line offset 0) as t";

constexpr std::chrono::seconds longest{30};
constexpr std::chrono::seconds in_any_case{5};

using answer = std::tuple<std::string, std::optional<std::string>, bool>;

// What pg_xact_status says of an id that the server has not given yet: it crashed, or was promoted, before
// any trace of the transaction was safe there.
bool is_in_the_future(const error& e)
{
    constexpr sqlstate invalid_parameter_value{"22023"};
    auto* told = dynamic_cast<const server_error*>(&e);
    return told && told->sqlstate() == invalid_parameter_value;
}

// Asks once. `why` is told when the server has no answer, or not yet.
asio::awaitable<std::optional<outcome>> ask(pool& p, const lost_transaction& which, deadline limit,
                                            std::string& why, bool& final)
{
    lease held = co_await p.acquire(time_left(limit));
    auto args = params::of(which.id, which.timeline, which.gid);
    prologue bounded;
    bounded.deadline = limit.time();
    request r;
    r.sql = outcome_query;
    r.args = &args;
    r.with = &bounded;
    auto got = co_await held->session().run(r);
    auto [timeline, status, prepared] = got.as_value<answer>();
    if (prepared) co_return outcome::prepared;
    if (timeline.empty()) {
        why = "the server that answers is a standby, which cannot tell";
        co_return std::nullopt;
    }
    final = !status.has_value();
    if (final) {
        why = "the server (timeline " + timeline + ") does not remember transaction " + which.id +
              " of timeline " + which.timeline;
        co_return std::nullopt;
    }
    // Nobody else's, whatever happened meanwhile: an id whose commit is safe is not given once more.
    if (status == "aborted") co_return outcome::aborted;
    const bool certainly_ours = timeline == which.timeline;
    if (status == "committed") {
        if (certainly_ours) co_return which.gid.empty() ? outcome::committed : outcome::prepared;
        final = true;
        why = "the server crashed or failed over meanwhile (timeline " + which.timeline + ", now " +
              timeline + "); transaction " + which.id +
              " is committed there, but may be another one of the same id";
        co_return std::nullopt;
    }
    if (!certainly_ours && which.gid.empty()) co_return outcome::aborted; // another's that has this id now
    why = "the server still has transaction " + which.id + " in progress";
    co_return std::nullopt;
}

} // namespace

const std::string_view id_query = "select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text";
const std::string_view id_and_timeline_query =
    "select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text || ' ' || " PGCORO_TIMELINE;
const std::string_view new_id_query =
    "select pg_catalog.pg_current_xact_id()::pg_catalog.text || ' ' || " PGCORO_TIMELINE;

#undef PGCORO_TIMELINE

asio::awaitable<outcome> find_outcome(pool& p, lost_transaction which, deadline until,
                                      std::exception_ptr lost)
{
    auto limit = std::max(earlier(until, deadline::after(longest)), deadline::after(in_any_case));
    std::string why = "the transaction's id was not asked for (resolve_commit is off)";
    auto pause =
        backoff::exponential(std::chrono::milliseconds(5), std::chrono::milliseconds(500), jitter::none);
    bool final = which.id.empty();
    for (int asked = 1; !final && !limit.expired(); ++asked) {
        try {
            auto found = co_await ask(p, which, limit, why, final);
            if (found) co_return *found;
        } catch (const error& e) {
            if (is_in_the_future(e)) co_return outcome::aborted;
            why = "asking for the outcome of transaction " + which.id + " failed: " + e.message();
            final = !e.is_transient();
        }
        // In progress: its process has not noticed yet that its client is gone.
        if (!final) co_await time_source::steady().sleep_for(pause.curve(asked));
    }
    const std::string end = which.gid.empty() ? "COMMIT" : "PREPARE TRANSACTION";
    throw_unknown("the connection broke during " + end +
                      ", and whether it took place could not be found out: " + why,
                  lost);
}

void throw_unknown(const std::string& what, const std::exception_ptr& lost)
{
    commit_unknown unknown(what);
    try {
        std::rethrow_exception(lost);
    } catch (const error& e) {
        unknown.add_note(e.what());
    }
    throw unknown;
}

std::chrono::milliseconds time_left(const deadline& limit)
{
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(limit.remaining()),
                    std::chrono::milliseconds(1));
}

} // namespace pgcoro::detail
