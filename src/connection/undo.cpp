// What a session's user changed beyond transactions, and undoing it.
#include "connection/diagnostics.hpp"
#include "connection/exchange.hpp"
#include "connection/operation.hpp"
#include "connection/settings.hpp"

#include <pgcoro/connection/identifier.hpp>

#include <boost/asio/this_coro.hpp>

#include <stdexcept>

namespace pgcoro::detail
{

namespace kind = dirt_kind;

// Before anything of it is sent.
void session::check(std::string_view sql, std::size_t parameters)
{
    check_text(sql, parameters);
    if (options_->pooler != pooler_mode::transaction) return;
    auto kinds = unprepared_dirt_.of(sql).seen;
    if (!kinds) return;
    throw std::logic_error(
        "pgcoro: " + std::string(name_of_dirt(kinds)) +
        " belongs to a session of the server, and behind a pooler in transaction mode "
        "(connection_options.pooler = transaction) that is somebody else's with the next transaction: " +
        std::string(instead_of_dirt(kinds)) + ". It was not sent: " + std::string(sql));
}

void session::note(std::string_view sql, const params& args)
{
    if (!watches_dirt_) return;
    if (auto kinds = unprepared_dirt_.of(sql).any()) note(kinds, sql, args);
}

void session::note_script(const std::string& sql)
{
    if (kept_ || !watches_dirt_) return note(sql, no_params);
    auto statements = statements_of(sql);
    if (statements.empty() && unprepared_dirt_.of(sql).any()) note(kind::all, sql, no_params);
    for (auto& s : statements) note(s, no_params);
}

void session::note(std::uint8_t kinds, std::string_view sql, const params& args)
{
    dirt_ |= kinds;
    if (!kept_) opening_.push_back({std::string(sql), args, kinds});
}

void session::keep_dirt()
{
    kept_ = true;
    not_to_be_undone_ = dirt_ & ~kind::settings;
    dirt_ = 0;
    std::erase_if(opening_, [](auto& s) { return !(s.leaves & kind::settings); });
    for (auto& s : opening_)
        if (s.leaves != kind::settings) not_to_be_undone_ |= kind::settings; // running it again does more
}

std::vector<session::remembered> session::undoing(std::uint8_t kinds, bool all) const
{
    std::vector<remembered> statements;
    auto add = [&](const char* sql) { statements.push_back({sql, {}, 0}); };
    if (kinds & kind::cursors) add("close all"); // before the tables that they may read
    if (kinds & kind::settings) {
        for (auto* sql : {"reset session authorization", "reset role", "reset all"}) add(sql);
        statements.insert(statements.end(), opening_.begin(), opening_.end());
    }
    if (kinds & kind::listens) add("unlisten *");
    if (kinds & kind::advisory) add("select pg_catalog.pg_advisory_unlock_all()");
    if (kinds & kind::temporary) add("discard temp");
    if (all) add("discard sequences");
    if (kinds & kind::prepared) add("select name from pg_catalog.pg_prepared_statements where from_sql");
    return statements;
}

asio::awaitable<void> session::undo(time_point deadline, bool all)
{
    check_idle();
    claim here(*this);
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (broken()) fail(nullptr, {});
    std::uint8_t kinds = dirt_;
    if (all) kinds |= kind::all & ~not_to_be_undone_;
    if (auto mixed = kinds & not_to_be_undone_)
        throw error("what is left of a session's user (" +
                    std::string(name_of_dirt(static_cast<std::uint8_t>(mixed))) +
                    ") cannot be told from what was meant to be there");
    auto statements = undoing(kinds, all);
    auto last = co_await run_each(statements, deadline);
    if (kinds & kind::prepared) {
        statements.clear();
        for (int i = 0; i < PQntuples(last.get()); ++i)
            statements.push_back({"deallocate " + identifier(PQgetvalue(last.get(), i, 0)), {}, 0});
        if (!statements.empty()) co_await run_each(statements, deadline);
    }
    if (kinds & kind::listens)
        while (pq_ptr<PGnotify>(PQnotifies(wire_->get()))) {
        } // that came before
    dirt_ = 0;
}

// In one round trip, each a transaction of its own: none fails because of another, or of what is SET before
// the first. Gives what the last one gave; throws if any failed. Under a claim.
asio::awaitable<result_ptr> session::run_each(const std::vector<remembered>& statements, time_point deadline)
{
    exchange x;
    result_ptr last;
    std::string_view failed;
    operation op(*this, work::internal, deadline);
    need(PQenterPipelineMode(wire_->get()), {});
    for (auto& s : statements) {
        send_unprepared(s.sql, s.args);
        need(PQpipelineSync(wire_->get()), s.sql);
        x.pieces.insert(x.pieces.end(), {piece::main, piece::sync});
        ++syncs_due_;
    }
    wire_->flush();
    while (!x.done()) {
        auto& current = statements[x.at / 2].sql;
        auto answer = co_await wire_->next_result();
        if (!answer && wire_->broken()) break;
        if (take(x, answer) == taken::main) last = std::move(answer);
        if (x.error && failed.empty()) failed = current;
        if (wire_->broken() || (x.error && is_fatal(x.error.get()))) break;
    }
    bool in_time = op.finish();
    settle(x);
    if (!in_time) fail_overdue({});
    if (x.error || broken()) fail(x.error.get(), failed);
    co_return last;
}

// Those of the startup packet, where a pooler refuses them there.
asio::awaitable<void> session::make_settings(time_point deadline)
{
    auto sql = settings_statement(*options_, false);
    if (sql.empty()) co_return;
    opening_.push_back({std::move(sql), {}, kind::settings});
    claim here(*this);
    try {
        co_await run_each(opening_, deadline);
    } catch (const server_error& e) {
        throw connection_error(connection_failure::options,
                               "the settings of the connection options were refused: " + e.message(),
                               e.diag());
    }
}

} // namespace pgcoro::detail
