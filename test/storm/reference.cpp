#include "storm/reference.hpp"

#include "storm/work.hpp"

#include <array>
#include <stdexcept>

namespace storm
{

namespace
{

std::string code_of(const PGresult* r)
{
    auto* code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    return code ? code : "lost";
}

bool succeeded(const PGresult* r)
{
    auto status = PQresultStatus(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

outcome failure(std::string ending)
{
    outcome o;
    o.ending = std::move(ending);
    return o;
}

row row_of(const PGresult* r, int i)
{
    row made;
    if (!PQgetisnull(r, i, 0)) std::get<0>(made) = std::stoi(PQgetvalue(r, i, 0));
    if (!PQgetisnull(r, i, 1)) std::get<1>(made) = PQgetvalue(r, i, 1);
    return made;
}

std::uint64_t affected(PGresult* r)
{
    std::string_view count = PQcmdTuples(r);
    return count.empty() ? 0 : std::stoull(std::string(count));
}

constexpr unsigned int4 = 23;

} // namespace

reference::reference(const std::string& conninfo)
    : conn_(PQconnectdb(conninfo.c_str()))
{
    if (PQstatus(conn_.get()) != CONNECTION_OK)
        throw std::runtime_error(std::string("the reference cannot connect: ") + PQerrorMessage(conn_.get()));
    PQsetNoticeReceiver(
        conn_.get(), [](void*, const PGresult*) {}, nullptr);
}

void reference::must(const std::string& sql)
{
    result r(PQexec(conn_.get(), sql.c_str()));
    if (!succeeded(r.get()))
        throw std::runtime_error("the reference: " + sql + ": " + PQresultErrorMessage(r.get()));
}

std::string reference::value(const std::string& sql)
{
    result r(PQexec(conn_.get(), sql.c_str()));
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK || PQntuples(r.get()) != 1)
        throw std::runtime_error("the reference: " + sql + ": " + PQresultErrorMessage(r.get()));
    return PQgetvalue(r.get(), 0, 0);
}

reference::result reference::execute(const statement& s)
{
    std::array<Oid, 2> types{int4, 0};
    auto a = std::to_string(s.a);
    std::array<const char*, 2> values{a.c_str(), s.b ? s.b->c_str() : nullptr};
    return result(
        PQexecParams(conn_.get(), s.sql().c_str(), 2, types.data(), values.data(), nullptr, nullptr, 0));
}

outcome reference::run_rows(const statement& s, std::vector<row>& rows)
{
    auto r = execute(s);
    if (!succeeded(r.get())) return failure(code_of(r.get()));
    outcome o;
    for (int i = 0, n = s.counts_only() ? 0 : PQntuples(r.get()); i < n; ++i)
        rows.push_back(row_of(r.get(), i));
    for (auto& each : rows) o.add(each);
    if (s.counts_only()) o.rows = affected(r.get());
    return o;
}

outcome reference::run(const statement& s)
{
    std::vector<row> rows;
    return run_rows(s, rows);
}

outcome reference::simple(const std::string& sql)
{
    result r(PQexec(conn_.get(), sql.c_str()));
    return succeeded(r.get()) ? outcome() : failure(code_of(r.get()));
}

outcome reference::atomically(const std::function<outcome()>& body)
{
    if (status() != PQTRANS_IDLE) return body();
    must("begin");
    auto o = body();
    if (!o.ok()) {
        must("rollback");
        return o;
    }
    auto ended = simple("commit");
    return ended.ok() ? o : ended;
}

void reference::fail_transaction()
{
    if (status() == PQTRANS_INTRANS) simple("select 1 / 0");
}

outcome reference::pipeline(const op& o)
{
    std::vector<outcome> parts;
    auto sum = [&](const std::string& ending) {
        outcome all;
        for (auto& p : parts) all.add(p);
        all.ending = ending;
        return all;
    };
    if (o.statements.empty()) return outcome();
    if (o.flag) {
        std::string first = "ok";
        for (auto& s : o.statements) {
            parts.push_back(run(s));
            if (first == "ok") first = parts.back().ending;
        }
        return sum(first);
    }
    auto all = atomically([&] {
        for (auto& s : o.statements) {
            parts.push_back(run(s));
            if (!parts.back().ok()) return parts.back();
        }
        return outcome();
    });
    // A statement that fails undoes those before it, so that no handle has a result.
    if (!all.ok()) parts.assign(o.statements.size(), failure(all.ending));
    return sum(all.ending);
}

outcome reference::perform_inserts(const op& o, const std::set<int>& ids)
{
    outcome all;
    for (auto& s : o.statements)
        if (ids.contains(s.a) && s.a >= o.id * 1000) all.add(run(s));
    return all;
}

outcome reference::stream(const op& o)
{
    std::vector<row> rows;
    auto all = run_rows(o.statements.front(), rows);
    if (o.statements.front().counts_only()) all.rows = 0; // a stream has no count
    if (o.what == kind::stream || !all.ok()) return all;
    outcome first;
    auto taken = std::min(rows.size(), static_cast<std::size_t>(o.at));
    for (std::size_t i = 0; i < taken; ++i) first.add(rows[i]);
    held_.assign(rows.begin() + static_cast<std::ptrdiff_t>(taken), rows.end());
    return first;
}

outcome reference::close_stream(bool to_the_end)
{
    outcome rest;
    if (to_the_end)
        for (auto& r : held_) rest.add(r);
    held_.clear();
    return rest;
}

outcome reference::copy_in(const op& o)
{
    bool throws = o.at >= 0 && o.flag;
    if (throws && status() == PQTRANS_INERROR) return failure("25P02");
    if (throws) {
        fail_transaction();
        return failure("thrown");
    }
    result begun(
        PQexec(conn_.get(), ("copy " + std::string(table_of(o)) + " (id, k, v) from stdin").c_str()));
    if (PQresultStatus(begun.get()) != PGRES_COPY_IN) return failure(code_of(begun.get()));
    for (auto& [id, k, v] : rows_of(o)) {
        auto line = std::to_string(id) + "\t" + std::to_string(k) + "\t" + (v ? *v : "\\N") + "\n";
        PQputCopyData(conn_.get(), line.data(), static_cast<int>(line.size()));
    }
    PQputCopyEnd(conn_.get(), nullptr);
    outcome all;
    while (result r{PQgetResult(conn_.get())}) {
        if (!succeeded(r.get()))
            all = failure(code_of(r.get()));
        else
            all.rows = affected(r.get());
    }
    return all;
}

outcome reference::copy_out(const op& o)
{
    auto r = result(PQexec(conn_.get(), copied_query(o).c_str()));
    if (!succeeded(r.get())) return failure(code_of(r.get()));
    outcome all;
    for (int i = 0; i < PQntuples(r.get()); ++i) {
        if (o.what == kind::copy_csv && i == o.at) return failure("thrown");
        if (o.what == kind::copy_csv)
            ++all.rows;
        else
            all.add(row_of(r.get(), i));
    }
    return all;
}

outcome reference::script(const op& o)
{
    PQsendQuery(conn_.get(), o.text.c_str());
    outcome all;
    while (result r{PQgetResult(conn_.get())}) {
        if (!succeeded(r.get()))
            all = failure(code_of(r.get()));
        else
            ++all.rows;
    }
    if (!all.ok()) all.rows = 0;
    return all;
}

outcome reference::timeout(const op&)
{
    auto first = simple("set statement_timeout = 20");
    if (first.ok()) first = simple("select pg_sleep(5)");
    simple(reset_timeout);
    return first;
}

outcome reference::insert_many(const op& o)
{
    if (o.count == 0) return outcome();
    return atomically([&] {
        outcome all;
        for (auto& [id, k, v] : rows_of(o)) {
            auto i = std::to_string(id);
            auto n = std::to_string(k);
            std::array<const char*, 3> values{i.c_str(), n.c_str(), v ? v->c_str() : nullptr};
            auto* sql =
                o.flag ? "insert into t (id, k, v) values ($1, $2, $3) on conflict (id) do update set k = "
                         "excluded.k, v = excluded.v"
                       : "insert into t (id, k, v) values ($1, $2, $3)";
            result r(PQexecParams(conn_.get(), sql, 3, nullptr, values.data(), nullptr, nullptr, 0));
            if (!succeeded(r.get())) return failure(code_of(r.get()));
            ++all.rows;
        }
        return all;
    });
}

// A body is run again after a serialization failure, which each attempt meets again: the outcome is that of
// one.
outcome reference::transactional(const op& o)
{
    using style = statement::style;
    if (o.size > 0) return failure("deadline");
    must("begin");
    outcome all;
    std::string first; // error that the body swallowed
    auto ended = [&](const std::string& ending) {
        must("rollback");
        return failure(ending);
    };
    for (std::size_t i = 0; i < o.statements.size(); ++i) {
        auto& s = o.statements[i];
        bool last = o.flag && i + 1 == o.statements.size();
        bool savepoint = !last && (s.as == style::savepoint || s.as == style::savepoint_throw);
        if (savepoint && first.empty()) must("savepoint s");
        // The body cannot enter a savepoint any more; it gets the error that it had swallowed.
        if (savepoint && !first.empty()) {
            all.add(failure(first));
            continue;
        }
        auto part = run(s);
        if (savepoint) {
            if (!part.ok() || s.as == style::savepoint_throw) must("rollback to savepoint s");
            if (part.ok() && s.as == style::savepoint_throw) part = failure("thrown");
            all.add(part);
            continue;
        }
        if (!part.ok() && first.empty()) first = part.ending;
        if (!part.ok() && (last || s.as != style::swallow)) return ended(part.ending);
        all.add(part);
        if (last && !first.empty()) return ended(first);
        if (last) {
            auto committed = simple("commit");
            if (!committed.ok()) return failure(committed.ending);
        }
    }
    bool committed = status() == PQTRANS_IDLE;
    if (o.flag2) return committed ? failure("thrown") : ended("thrown");
    if (!first.empty()) return ended(first);
    if (committed) return all;
    auto commit = simple("commit");
    return commit.ok() ? all : failure(commit.ending);
}

outcome reference::poll()
{
    outcome all;
    PQconsumeInput(conn_.get());
    while (auto* n = PQnotifies(conn_.get())) {
        ++all.rows;
        all.add_text(n->relname);
        all.add_text(n->extra);
        PQfreemem(n);
    }
    return all;
}

void reference::undo_session()
{
    for (auto* sql : {"reset session authorization", "reset role", "reset all", "close all", "unlisten *",
                      "select pg_advisory_unlock_all()", "discard temp", "deallocate all"})
        must(sql);
    poll();
}

void reference::release()
{
    must("rollback");
    undo_session();
    held_.clear();
    for (auto& p : prepared_) p.there = false;
}

op reference::without_handle(const op& o) const
{
    if (o.what != kind::run_prepared || !prepared_[o.count].there) return o;
    auto query = o;
    query.what = kind::query;
    query.statements.front() = prepared_[o.count].what;
    query.statements.front().a = o.statements.front().a;
    query.statements.front().b = o.statements.front().b;
    return query;
}

outcome reference::perform(const op& o)
{
    switch (o.what) {
    case kind::query:
        return run(o.statements.front());
    case kind::prepare: {
        auto& slot = prepared_[o.count];
        auto& s = o.statements.front();
        result r(PQprepare(conn_.get(), "", s.sql().c_str(), 2, std::array<Oid, 2>{int4, 0}.data()));
        if (!succeeded(r.get())) return failure(code_of(r.get()));
        slot.there = true;
        slot.what = s;
        return outcome();
    }
    case kind::run_prepared: {
        if (!prepared_[o.count].there) return outcome();
        return run(without_handle(o).statements.front());
    }
    case kind::pipeline:
        return pipeline(o);
    case kind::stream:
    case kind::open_stream:
        return stream(o);
    case kind::copy_in:
        return copy_in(o);
    case kind::copy_out:
    case kind::copy_csv:
        return copy_out(o);
    case kind::script:
        return script(o);
    case kind::command:
        return simple(o.text);
    case kind::timeout:
        return timeout(o);
    case kind::transactional:
        return transactional(o);
    case kind::multiplexed: {
        outcome all;
        for (auto& s : o.statements) all.add(run(s));
        return all;
    }
    case kind::insert_many:
        return insert_many(o);
    case kind::poll:
        return poll();
    case kind::ping:
        return simple("");
    case kind::reset:
        must("rollback");
        undo_session();
        held_.clear();
        return outcome();
    case kind::release:
    case kind::close_stream:
        break;
    }
    return outcome();
}

} // namespace storm
