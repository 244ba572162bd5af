// Hands requests to libpq, and records them in the round trip in the order of their answers.
#include "base/shortened.hpp"
#include "connection/diagnostics.hpp"
#include "connection/session_impl.hpp"
#include "connection/statement_text.hpp"
#include "sql/time_words.hpp"

#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace pgcoro::detail
{
namespace
{

// Parameters as libpq wants them: parallel arrays.
struct bound_params
{
    boost::container::small_vector<const char*, 16> values;
    boost::container::small_vector<int, 16> lengths;
    boost::container::small_vector<int, 16> formats;

    explicit bound_params(const params& args)
    {
        for (std::size_t i = 0; i < args.size(); ++i) {
            auto& p = args[i];
            values.push_back(p.size < 0 ? nullptr : args.data() + p.offset);
            lengths.push_back(p.size);
            formats.push_back(static_cast<int>(p.in));
        }
    }
    int count() const { return static_cast<int>(values.size()); }
};

boost::container::small_vector<oid, 16> types_of(const params& args)
{
    boost::container::small_vector<oid, 16> types;
    for (std::size_t i = 0; i < args.size(); ++i) types.push_back(args[i].type);
    return types;
}

constexpr int binary = 1;

} // namespace

void session_impl::begin(bool pipelined)
{
    trip.begin(pipelined);
    effects.forget_expected();
    preparing.clear();
    closing.clear();
    prepared = closed = 0;
    sent_at = answered_at = {};
    if (pipelined) need(PQenterPipelineMode(pg()), {});
}

void session_impl::need(int accepted, std::string_view sql)
{
    if (!accepted) fail(nullptr, sql);
}

void session_impl::check(std::string_view sql, std::size_t parameters)
{
    check_text(sql, parameters);
    if (options->pooler != pooler_mode::transaction) return;
    auto change = effects.change_of(sql);
    if (!change || !change->seen) return;
    auto kinds = change->seen;
    throw std::logic_error(
        "pgcoro: " + std::string(name_of_effect(kinds)) +
        " belongs to a session of the server, and behind a pooler in transaction mode "
        "(connection_options.pooler = transaction) that is somebody else's with the next transaction: " +
        std::string(instead_of_effect(kinds)) + ". It was not sent: " + shortened(sql, longest_statement));
}

// Also used without parameters: the simple protocol would return text.
void session_impl::send_unprepared(std::string_view sql, const params& args, request_kind as)
{
    bound_params bound(args);
    auto types = types_of(args);
    need(PQsendQueryParams(pg(), std::string(sql).c_str(), bound.count(), types.data(), bound.values.data(),
                           bound.lengths.data(), bound.formats.data(), binary),
         sql);
    trip.expect(as);
}

void session_impl::send_preparation(std::string_view sql, const params& args, const std::string& name)
{
    auto types = types_of(args);
    need(PQsendPrepare(pg(), name.c_str(), std::string(sql).c_str(), static_cast<int>(types.size()), types.data()),
         sql);
}

// A constant such as 'now'::timestamptz is evaluated when its statement is parsed: all runs of a prepared one would get the
// time of the first. Such a text is parsed each time it runs. So is a text with a backslash without standard_conforming_strings:
// it may be an escape.
bool session_impl::may_prepare(std::string_view sql) const
{
    if (!statements.enabled() || effects.is_parsing_in_doubt() || sql::has_time_constant(sql)) return false;
    auto* standard = PQparameterStatus(pg(), "standard_conforming_strings");
    return !standard || std::string_view(standard) == "on" || sql.find('\\') == sql.npos;
}

const statement_cache::statement* session_impl::find_prepared(std::string_view sql, const params& args)
{
    if (!statements.enabled() || effects.is_parsing_in_doubt()) return nullptr;
    return statements.find(sql, args, parse_settings(effects.coming()));
}

// Returns a statement whose preparation is in transit in this round trip; null if there is none.
const statement_cache::statement* session_impl::find_coming(std::string_view sql, const params& args) const
{
    if (prepared == preparing.size() || effects.is_parsing_in_doubt()) return nullptr;
    auto settings = parse_settings(effects.coming());
    for (auto i = prepared; i < preparing.size(); ++i)
        if (statement_cache::is(preparing[i], sql, args, settings)) return &preparing[i];
    return nullptr;
}

// In a pipeline: sends the preparation of a statement that is new. Null if it is to run unprepared.
const statement_cache::statement* session_impl::prepare(std::string_view sql, const params& args, bool always)
{
    if (!may_prepare(sql) || (!always && !statements.has_room(preparing.size() - prepared))) return nullptr;
    if (!speaks_utf8()) return nullptr; // in UTF-8 the same bytes are another statement
    auto made = statement_cache::describe(sql, args, parse_settings(effects.coming()), statements.new_name());
    made.change = effects.change_of(sql);
    send_preparation(sql, args, made.name);
    preparing.push_back(std::move(made));
    trip.expect(request_kind::prepare);
    return &preparing.back();
}

// In a pipeline.
void session_impl::send_statement(std::string_view sql, const params& args, request_kind as)
{
    auto* known = find_prepared(sql, args);
    auto* named = known ? known : find_coming(sql, args);
    if (!named) {
        check(sql, args.size());
        named = prepare(sql, args, false);
    }
    if (!named) {
        effects.expect(trip.requests(), sql, args);
        return send_unprepared(sql, args, as);
    }
    if (named->change) effects.expect(trip.requests(), named->change, sql, args);
    bound_params bound(args);
    need(PQsendQueryPrepared(pg(), named->name.c_str(), bound.count(), bound.values.data(), bound.lengths.data(),
                             bound.formats.data(), binary),
         sql);
    trip.expect(as, known && as == request_kind::statement);
}

// In a pipeline: describes the statement without running it. A statement that is not cached has no name.
void session_impl::send_description(std::string_view sql, const params& types)
{
    static const std::string no_name;
    auto* named = find_prepared(sql, types);
    bool is_known = named != nullptr;
    if (!named) named = prepare(sql, types, true);
    if (!named) {
        send_preparation(sql, types, no_name);
        trip.expect(request_kind::setup);
    }
    need(PQsendDescribePrepared(pg(), named ? named->name.c_str() : no_name.c_str()), sql);
    trip.expect(request_kind::statement, is_known);
}

void session_impl::send_sync(request_kind as)
{
    effects.expect_sync();
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    need(PQsendPipelineSync(pg()), {}); // flushed with what follows
#else
    need(PQpipelineSync(pg()), {});
#endif
    trip.expect(as);
}

void session_impl::send_script(const std::string& text, std::string_view own)
{
    effects.expect_script(trip.requests(), text, own);
    need(PQsendQuery(pg(), text.c_str()), text);
    trip.expect(request_kind::script);
}

void session_impl::send_closes(std::string_view sql, const params& args)
{
    if (!statements.enabled() || find_prepared(sql, args)) return; // a statement in the cache needs no room
    statements.make_room();
    if (statements.unwanted().empty()) return;
#ifdef LIBPQ_HAS_CLOSE_PREPARED
    // A request of the protocol, which fails neither in a failed transaction nor for a name that is not there.
    for (auto& name : statements.unwanted()) {
        need(PQsendClosePrepared(pg(), name.c_str()), {});
        closing.push_back(name);
        trip.expect(request_kind::close);
    }
#else
    // A statement, which may fail: only outside of transactions, and behind a sync of its own.
    if (!is_idle()) return;
    for (auto& name : statements.unwanted()) {
        send_unprepared("deallocate " + name, no_params, request_kind::close);
        closing.push_back(name);
    }
    send_sync();
#endif
}

void session_impl::send_before(const prologue& with)
{
    for (auto& each : with.before) send_companion(each);
}

void session_impl::send_companion(const companion& c)
{
    auto& args = c.args ? *c.args : no_params;
    if (c.prepares)
        send_statement(c.sql, args, request_kind::setup);
    else
        send_setup(c.sql, args);
}

void session_impl::send_setup(std::string_view sql, const params& args)
{
    effects.expect(trip.requests(), sql, args);
    send_unprepared(sql, args, request_kind::setup);
}

void session_impl::send_behind(const prologue& with)
{
    if (!with.behind.sql.empty()) send_companion(with.behind);
    if (!with.after.empty()) send_statement(with.after, no_params, request_kind::trailer);
    if (with.commit == commit_place::none) return;
    if (with.commit == commit_place::after_sync) send_sync(request_kind::sync_in_transaction);
    send_statement(commit_statement, no_params, request_kind::commit);
}

void session_impl::send(const request& r, const statement_cache::statement* known, bool pipelined)
{
    auto& args = r.args ? *r.args : no_params;
    auto& with = *r.with;
    bool alone = with.before.empty() && with.behind.sql.empty() && with.after.empty() &&
                 with.commit == commit_place::none;
    bool unprepared = !known && (!r.sent_as.empty() || !may_prepare(r.sql));
    auto sent_as = r.sent_as.empty() ? r.sql : r.sent_as;
    if (alone && !r.describe && !pipelined && (known || unprepared)) { // the hot path
        begin(false);
        if (!known) {
            effects.expect(trip.requests(), r.sql, args);
            return send_unprepared(sent_as, args, request_kind::statement);
        }
        if (known->change) effects.expect(trip.requests(), known->change, r.sql, args);
        bound_params bound(args);
        need(PQsendQueryPrepared(pg(), known->name.c_str(), bound.count(), bound.values.data(), bound.lengths.data(),
                                 bound.formats.data(), binary),
             r.sql);
        return trip.expect(request_kind::statement, true);
    }
    begin(true);
    if (!known && !unprepared) send_closes(r.sql, args);
    send_before(with);
    if (r.describe) {
        send_description(r.sql, args);
    } else if (unprepared) {
        effects.expect(trip.requests(), r.sql, args);
        send_unprepared(sent_as, args, request_kind::statement);
    } else {
        send_statement(r.sql, args, request_kind::statement);
    }
    send_behind(with);
    send_sync();
}

} // namespace pgcoro::detail
