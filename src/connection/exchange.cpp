#include "connection/exchange.hpp"

#include "connection/diagnostics.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
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

void check_text(std::string_view sql, std::size_t parameters)
{
    if (auto at = sql.find('\0'); at != sql.npos)
        throw std::invalid_argument("pgcoro: the SQL has a NUL character at position " +
                                    std::to_string(at + 1) + ": " + std::string(sql.substr(0, at)));
    if (parameters == 0) return;
    std::size_t highest = 0;
    for (auto at = sql.find('$'); at != sql.npos; at = sql.find('$', at + 1)) {
        std::size_t n = 0;
        std::from_chars(sql.data() + at + 1, sql.data() + sql.size(), n);
        highest = std::max(highest, n);
    }
    if (parameters > highest)
        throw std::invalid_argument(
            "pgcoro: " + std::to_string(parameters) +
            (parameters == 1 ? " parameter was" : " parameters were") + " given, and the SQL mentions " +
            (highest == 0 ? std::string("none") : "none beyond $" + std::to_string(highest)) + ": " +
            std::string(sql));
}

std::string text_before(const prologue& with)
{
    std::string text;
    for (auto& before : with.before) text.append(before).append("; ");
    return text;
}

const char* first_value(const PGresult* rows)
{
    return PQgetisnull(rows, 0, 0) ? nullptr : PQgetvalue(rows, 0, 0);
}

bool drops_statements(PGresult* done)
{
    std::string_view tag = PQcmdStatus(done);
    return tag == "DISCARD ALL" || tag == "DEALLOCATE ALL";
}

std::uint64_t rows_of(PGresult* done)
{
    auto rows = static_cast<std::uint64_t>(PQntuples(done));
    return rows > 0 ? rows : std::strtoull(PQcmdTuples(done), nullptr, 10);
}

std::uint64_t bytes_of(const PGresult* rows) noexcept
{
    std::uint64_t sum = 0;
    for (int r = 0, n = PQntuples(rows), columns = PQnfields(rows); r < n; ++r)
        for (int c = 0; c < columns; ++c) sum += static_cast<std::uint64_t>(PQgetlength(rows, r, c));
    return sum;
}

const statement_cache::statement* session::exchange::find_coming(std::string_view sql,
                                                                 const params& args) const
{
    for (auto i = prepared; i < prepares.size(); ++i)
        if (statement_cache::is(prepares[i], sql, args)) return &prepares[i];
    return nullptr;
}

void session::send_known(std::string_view sql, const params& args, const std::string& name)
{
    bound_params bound(args);
    need(PQsendQueryPrepared(wire_->get(), name.c_str(), bound.count(), bound.values.data(),
                             bound.lengths.data(), bound.formats.data(), binary),
         sql);
}

// With no parameters too: the simple protocol would answer in text.
void session::send_unprepared(std::string_view sql, const params& args)
{
    bound_params bound(args);
    auto types = types_of(args);
    need(PQsendQueryParams(wire_->get(), std::string(sql).c_str(), bound.count(), types.data(),
                           bound.values.data(), bound.lengths.data(), bound.formats.data(), binary),
         sql);
}

void session::send_preparation(std::string_view sql, const params& args, const std::string& name)
{
    auto types = types_of(args);
    need(PQsendPrepare(wire_->get(), name.c_str(), std::string(sql).c_str(), static_cast<int>(types.size()),
                       types.data()),
         sql);
}

// In a pipeline: a statement whose preparation is sent before, where it is new.
const statement_cache::statement& session::prepared_statement(std::string_view sql, const params& args,
                                                              exchange& x)
{
    if (auto* known = statements_.find(sql, args)) return *known;
    if (auto* coming = x.find_coming(sql, args)) return *coming;
    check(sql, args.size());
    auto name = statements_.new_name();
    preparing_.push_back(name);
    auto made = statement_cache::describe(sql, args, name);
    made.leaves = watches_dirt_ ? dirt_of(sql).any() : 0;
    x.prepares.push_back(std::move(made));
    send_preparation(sql, args, name);
    x.pieces.push_back(piece::prepare);
    return x.prepares.back();
}

// In a pipeline.
void session::send_statement(std::string_view sql, const params& args, piece as, exchange& x)
{
    if (statements_.enabled()) {
        auto& prepared = prepared_statement(sql, args, x);
        if (prepared.leaves) note(prepared.leaves, sql, args);
        send_known(sql, args, prepared.name);
    } else {
        check(sql, args.size());
        note(sql, args);
        send_unprepared(sql, args);
    }
    x.pieces.push_back(as);
}

// In a pipeline: not run, but described. What is not to stay prepared has no name.
void session::send_description(std::string_view sql, const params& types, exchange& x)
{
    static const std::string no_name;
    bool stays = statements_.enabled();
    if (!stays) {
        send_preparation(sql, types, no_name);
        x.pieces.push_back(piece::before);
    }
    auto& name = stays ? prepared_statement(sql, types, x).name : no_name;
    need(PQsendDescribePrepared(wire_->get(), name.c_str()), sql);
    x.pieces.push_back(piece::main);
}

void session::send_before(const prologue& with, exchange& x)
{
    for (bool prepared = with.prepare_first; auto& sql : with.before) {
        if (std::exchange(prepared, false)) {
            send_statement(sql, no_params, piece::before, x);
        } else {
            send_unprepared(sql, no_params);
            x.pieces.push_back(piece::before);
        }
    }
}

void session::send_behind(const prologue& with, exchange& x)
{
    if (!with.after.empty()) send_statement(with.after, no_params, piece::after, x);
    if (with.commit) send_statement(commit_statement, no_params, piece::commit, x);
}

void session::send(const request& r, const statement_cache::statement* known, exchange& x)
{
    auto& args = r.args ? *r.args : no_params;
    auto& with = *r.with;
    bool alone = with.before.empty() && with.after.empty() && !with.commit;
    bool once = !statements_.enabled() || !r.sent_as.empty();
    if (alone && !r.describe && (known || once)) { // the hot path
        x.pieces.push_back(piece::main);
        if (!known) {
            note(r.sql, args);
            return send_unprepared(r.sent_as.empty() ? r.sql : r.sent_as, args);
        }
        if (known->leaves) note(known->leaves, r.sql, args);
        return send_known(r.sql, args, known->name);
    }

    need(PQenterPipelineMode(wire_->get()), r.sql);
    auto sync = [&] {
        need(PQpipelineSync(wire_->get()), r.sql);
        x.pieces.push_back(piece::sync);
        ++syncs_due_;
    };
    send_before(with, x);
    if (r.describe) {
        send_description(r.sql, args, x);
    } else if (!r.sent_as.empty()) {
        note(r.sql, args);
        send_unprepared(r.sent_as, args);
        x.pieces.push_back(piece::main);
    } else {
        send_statement(r.sql, args, piece::main, x);
    }
    send_behind(with, x);
    sync();
    if (!x.prepares.empty() && !statements_.unwanted().empty()) {
        // Behind a Sync of their own: if they fail, in a failed transaction, the statement does not.
        for (auto& name : statements_.unwanted()) {
            send_unprepared("deallocate " + name, no_params);
            x.pieces.push_back(piece::deallocate);
        }
        sync();
    }
}

// Takes in one answer (null: the end of a statement's answers) and says whether it is to be given on; it is
// left in `answer` then.
session::taken session::take(exchange& x, result_ptr& answer)
{
    auto current = x.pieces[x.at];
    if (!answer) {
        // A Sync ends with its own result only: an error may come before it, when it commits.
        if (current != piece::sync) ++x.at;
        return taken::nothing;
    }
    switch (PQresultStatus(answer.get())) {
    case PGRES_PIPELINE_SYNC: {
        --syncs_due_;
        auto from = x.pieces.begin() + static_cast<std::ptrdiff_t>(x.at);
        x.at = static_cast<std::size_t>(std::find(from, x.pieces.end(), piece::sync) - x.pieces.begin() + 1);
        return taken::nothing;
    }
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        broken_ = true; // in a pipeline there is no way out of COPY
        throw std::logic_error("pgcoro: COPY … FROM STDIN and TO STDOUT go through copy_in and copy_out, not "
                               "through query, execute or a script; the connection is given up");
    case PGRES_PIPELINE_ABORTED:
        if (current == piece::prepare) ++x.prepared;
        return taken::nothing;
    case PGRES_FATAL_ERROR:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
        if (current == piece::prepare) ++x.prepared;
        if (current == piece::deallocate) { // somebody else's DISCARD ALL came before it
            if (code_of(answer.get()) == sqlstates::invalid_sql_statement_name) ++x.deallocated;
        } else if (!x.error) {
            x.error = std::move(answer);
        }
        return taken::nothing;
    default:
        break;
    }
    switch (current) {
    case piece::main:
        return taken::main;
    case piece::after:
        return taken::after;
    case piece::commit:
        x.rolled_back = std::string_view(PQcmdStatus(answer.get())) == "ROLLBACK";
        x.committed = !x.rolled_back;
        return taken::nothing;
    case piece::prepare: {
        auto& p = x.prepares[x.prepared++];
        std::erase(preparing_, p.name);
        statements_.add(std::move(p));
        x.prepared_any = true;
        return taken::nothing;
    }
    case piece::deallocate:
        ++x.deallocated;
        return taken::nothing;
    default:
        return taken::nothing;
    }
}

// All answers are there, or none will come any more.
void session::settle(exchange& x)
{
    preparing_.clear(); // if it was not prepared, there was an error
    if (!x.done() || wire_->broken() || (x.error && is_fatal(x.error.get()))) broken_ = true;
    if (!broken_ && PQpipelineStatus(wire_->get()) != PQ_PIPELINE_OFF)
        broken_ = !PQexitPipelineMode(wire_->get());
    auto& unwanted = statements_.unwanted();
    unwanted.erase(unwanted.begin(), unwanted.begin() + static_cast<std::ptrdiff_t>(x.deallocated));
}

// Was the error that the server has the statement no more, or can use it no more? Then it is forgotten, to
// be prepared anew.
bool session::forget_lost_statement(const exchange& x, std::string_view sql)
{
    if (!x.error || broken_ || !statements_.enabled()) return false;
    auto code = code_of(x.error.get());
    auto* routine = PQresultErrorField(x.error.get(), PG_DIAG_SOURCE_FUNCTION);
    if (!is_lost_statement(code, routine ? routine : "")) return false;
    bool server_has_it = code != sqlstates::invalid_sql_statement_name;
    statements_.erase(sql, server_has_it);
    return true;
}

// What went with the statements may be what was lost.
void session::forget_companions(const exchange& x, const prologue& with)
{
    if (with.prepare_first) forget_lost_statement(x, with.before.front());
    if (!with.after.empty()) forget_lost_statement(x, with.after);
    if (with.commit) forget_lost_statement(x, commit_statement);
}

} // namespace pgcoro::detail
