// How a transaction ends: COMMIT by itself or with its last statement, PREPARE TRANSACTION; and what came of
// it when there is no answer.
#include <pgcoro/transaction/transaction.hpp>

#include "connection/diagnostics.hpp"
#include "connection/session.hpp"
#include "resilience/is_a.hpp"
#include "transaction/core.hpp"
#include "transaction/outcome.hpp"
#include "transaction/parts.hpp"
#include "base/server_questions.hpp"
#include "transaction/two_phase.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

using closing = detail::transaction_core::closing;
using decision = detail::transaction_core::decision;
using core_state = detail::transaction_core::state;

namespace
{

[[noreturn]] void throw_abandoned(std::string_view sql, const std::string& left_early)
{
    diagnostics d;
    d.severity = "ERROR";
    d.sqlstate = sqlstate("25P02");
    d.message = "the transaction cannot be committed: a statement that its body no longer waited for was cancelled, "
                "or failed; undo it with savepoint(), or throw";
    if (!left_early.empty())
        d.message = "the transaction cannot be committed: a stream or COPY was left before its end, which stops its statement: "
                    "read it to its end, limit it in SQL, or leave it in a savepoint() that throws: " +
                    left_early;
    throw server_error(std::move(d), sql);
}

[[noreturn]] void throw_lost_before_end(sqlstate last_word, std::string_view sql)
{
    diagnostics d;
    d.sqlstate = last_word;
    std::string what = "the connection was lost before the transaction's end was sent";
    if (last_word)
        what.append(": the server ended it with ")
            .append(last_word.str())
            .append(" ")
            .append(condition_name(last_word));
    throw connection_error(connection_failure::lost, what, std::move(d), sql);
}

[[noreturn]] void throw_no_marker_table(std::string_view sql)
{
    throw error("resolve_commit is by_marker, and the table pgcoro.commit_marker is not there, or the role may not read "
                "and write it: call create_commit_markers() once, and grant the role USAGE on the schema and SELECT and "
                "INSERT on the table; nothing was committed",
                {}, sql);
}

result_lost no_result(std::string_view sql = {})
{
    return result_lost("the transaction was committed, and then the connection broke with what this statement gave: "
                       "do not run it again",
                       {}, sql);
}

} // namespace

void transaction::ended() noexcept
{
    let_go(); // before the caller goes on
}

std::string transaction::marker_statement()
{
    marker_ = to_string(boost::uuids::random_generator()());
    return "insert into pgcoro.commit_marker (key) values ('" + marker_ + "')";
}

// What is still due, the time limit, and the marker go before it, in one message of the simple protocol.
std::string transaction::ending_text(std::string_view statement, bool marked)
{
    std::string text;
    // RELEASE alone makes no difference any more.
    bool undo = false;
    for (auto& d : due_) undo = undo || d.starts_with("rollback");
    if (undo)
        for (auto& d : due_) text.append(d).append("; ");
    due_.clear();
    detail::prologue limits;
    limit_time(on(), limits, false, statement);
    text.append(detail::text_before(limits));
    if (marked) text.append(marker_statement()).append("; ");
    if (!until_.is_never()) text.append(check_constraints).append("; ");
    return text.append(statement);
}

asio::awaitable<void> transaction::commit()
{
    return end_by(std::string(detail::commit_statement), std::string(), false);
}

asio::awaitable<void> transaction::prepare_transaction(std::string_view gid)
{
    check_last();
    on(); // throws after the end
    return end_by(detail::two_phase_statement("prepare transaction", gid), std::string(gid), true);
}

// Asks for the id by a statement of its own, or has the server give one.
asio::awaitable<void> transaction::ask_for_id(bool force)
{
    struct asking
    {
        bool& flag;
        explicit asking(bool& f)
            : flag(f)
        {
            flag = true;
        }
        ~asking() { flag = false; }
    } now(asking_);
    auto& server = on().server();
    params none;
    if (!server.asked) {
        auto rights = co_await run_kept(rights_question(), none);
        detail::learn(server, rights.as_value<std::optional<std::string>>().value_or("0"));
    }
    if (!(server.may & detail::server_right::id)) {
        core_->id_is_denied();
        co_return;
    }
    auto got = co_await run_kept(force ? server.new_id_query : server.identity_query, none);
    auto id = got.as_value<std::optional<std::string>>();
    asked_ = question::id;
    told(id ? id->c_str() : nullptr);
}

// Does what must come before the end. False: it is at its end already, or was never begun.
asio::awaitable<bool> transaction::ready_to_end(bool prepares)
{
    if (failure_) std::rethrow_exception(failure_); // swallowed by the body: it cannot be committed
    if (core_->succeeded()) co_return false;
    auto& session = on();
    const std::string_view sql = prepares ? "prepare transaction" : detail::commit_statement;
    std::exception_ptr failure;
    try {
        if (core_->begun() && !session.ready()) {
            // A statement that the body no longer waited for is still to be heard of.
            if (until_.is_never())
                co_await session.make_ready(sql);
            else
                co_await session.recover(answer_due(), false);
        }
        if (core_->begun() && !session.broken()) {
            bool undone = !due_.empty(); // a failed savepoint, by the next statement
            if (session.transaction_status() == PQTRANS_INERROR && !undone) throw_abandoned(sql, session.left_early());
            if (session.transaction_status() == PQTRANS_IDLE) begin(sql); // throws
        }
    } catch (...) {
        failure = failed(std::current_exception(), sql);
        if (detail::is_a<server_error>(failure)) core_->doom();
    }
    if (failure) std::rethrow_exception(failure);
    for (;;) {
        auto next = core_->end(prepares ? closing::prepare : closing::commit);
        if (next == decision::send) break;
        if (next == decision::report_success) {
            core_->nothing_to_commit();
            co_return false;
        }
        if (next != decision::ask_for_id && next != decision::force_id) std::rethrow_exception(failure_);
        co_await ask_for_id(next == decision::force_id);
    }
    bool lacks_right = !prepares && core_->wants_marker(false) && !(session.server().may & detail::server_right::marker);
    if (!lacks_right) co_return true;
    session.server().asked = false; // the table may be there by now
    co_await ask_for_id(false);
    if (session.server().may & detail::server_right::marker) co_return true;
    try {
        throw_no_marker_table(sql);
    } catch (...) {
        failure_ = latest_ = std::current_exception();
    }
    core_->doom();
    std::rethrow_exception(failure_);
}

asio::awaitable<void> transaction::end_by(std::string statement, std::string gid, bool prepares)
{
    bool to_send = co_await ready_to_end(prepares);
    if (!to_send) {
        ended();
        co_return;
    }
    auto& session = on();
    std::exception_ptr failure;
    std::string tag;
    auto sent = session.sent();
    try {
        if (session.broken() || session.looks_dead()) {
            session.give_up();
            throw_lost_before_end(session.last_word(), statement);
        }
        bool marked = !prepares && core_->wants_marker(false);
        auto text = ending_text(statement, marked);
        session.never_cancel(true);
        core_->end_sent(prepares ? closing::prepare : closing::commit);
        if (marked) core_->marker_sent();
        auto due = until_.is_never() ? std::chrono::steady_clock::time_point::max() : answer_due();
        co_await session.command(text, due, tag);
    } catch (...) {
        failure = std::current_exception();
    }
    // The connection may have broken behind the answer.
    bool answered = tag == (prepares ? "PREPARE TRANSACTION" : "COMMIT") || (!failure && tag == "ROLLBACK");
    if (!answered || session.sent() == sent) {
        co_await end_failed(std::move(failure), session.sent() != sent, std::move(gid), std::move(statement));
        co_return;
    }
    co_await end_answered(std::move(tag), std::move(gid));
}

// The server answered.
asio::awaitable<void> transaction::end_answered(std::string tag, std::string gid)
{
    auto next = core_->end_answered(tag, !on().take_unreplicated());
    if (next == decision::report_success) {
        ended();
        co_return;
    }
    std::exception_ptr failure;
    try {
        if (next == decision::report_error) detail::throw_rolled_back();
        throw error("the server stopped waiting for its synchronous standby");
    } catch (...) {
        failure = std::current_exception();
    }
    if (next == decision::report_error) {
        failure_ = latest_ = failure;
        std::rethrow_exception(failure);
    }
    co_await find_out(failure, std::move(gid));
}

// The end failed. Returns if it took place all the same; else throws what it failed of, or commit_unknown.
asio::awaitable<void> transaction::end_failed(std::exception_ptr failure, bool sent, std::string gid,
                                              std::string sql)
{
    if (!sent) {
        if (core_->now() == core_state::ending) core_->end_not_sent();
        std::rethrow_exception(failed(failure, sql));
    }
    auto next = decision::report_error;
    try {
        std::rethrow_exception(failure);
    } catch (const error& e) {
        if (dynamic_cast<const connection_error*>(&e) || !is_servers_word(e))
            next = core_->end_lost(e.sqlstate());
        else
            core_->end_refused();
    } catch (...) {
        core_->give_up("its caller did not wait for the answer");
        latest_ = failure;
        std::rethrow_exception(failure);
    }
    if (next == decision::ask_outcome || next == decision::report_unknown) {
        co_await find_out(failure, std::move(gid));
        co_return;
    }
    failure_ = latest_ = overdue(failure, sql);
    std::rethrow_exception(failure_);
}

// Returns if it took place. Throws `lost` if it did not; else commit_unknown.
asio::awaitable<void> transaction::find_out(std::exception_ptr lost, std::string gid)
{
    let_go();
    std::exception_ptr failure;
    try {
        detail::outcome_keys keys{std::move(gid), marker_};
        co_await detail::find_outcome(*core_, source_, std::move(keys), until_, lost);
        if (core_->succeeded()) co_return;
        failure = overdue(lost, {});
    } catch (...) {
        failure = std::current_exception();
        core_->give_up("its caller did not wait for the outcome");
    }
    failure_ = latest_ = failure;
    std::rethrow_exception(failure);
}

void transaction::check_last() const
{
    if (depth_ > 0)
        throw std::logic_error("pgcoro: the transaction cannot be ended in a savepoint: last() and "
                               "prepare_transaction() belong behind it");
}

// May COMMIT go in the same round trip as the last statement?
bool transaction::may_ride()
{
    if (failure_ || !core_->may_ride()) return false;
    return !core_->wants_marker(true) || (on().server().may & detail::server_right::marker);
}

asio::awaitable<result> transaction::run_last(std::string_view sql, const params& args)
{
    check_last();
    auto& session = on();
    check(sql);
    if (!may_ride()) {
        auto got = co_await run_kept(sql, args);
        co_await commit();
        co_return got;
    }
    std::exception_ptr failure;
    std::optional<result> got;
    detail::result_ptr kept;
    bool committed = false; // its answer came, and then the connection broke
    auto sent = session.sent();
    try {
        if (!session.ready()) co_await session.make_ready(sql);
        commit_next_ = true;
        auto with = begin(sql);
        session.never_cancel(true);
        detail::request r;
        r.sql = sql;
        r.args = &args;
        r.with = &with;
        detail::result_ptr constraints;
        r.after_result = &constraints;
        r.kept = &kept;
        r.committed = &committed;
        if (!unprepared_.empty() && std::ranges::find(unprepared_, sql) != unprepared_.end()) r.sent_as = sql;
        sent = session.sent();
        auto rows = co_await session.run(r);
        got.emplace(std::move(rows));
        committed = true;
    } catch (...) {
        failure = std::current_exception();
    }
    commit_next_ = false;
    std::string tag = "COMMIT";
    std::string no_gid;
    std::string text(sql);
    if (committed)
        co_await end_answered(std::move(tag), std::move(no_gid));
    else
        co_await end_failed(failure, session.sent() != sent, std::move(no_gid), std::move(text));
    if (got) co_return std::move(*got);
    if (kept) co_return result(kept.release());
    throw no_result(sql);
}

asio::awaitable<void> transaction::run_last(const statement_list& all)
{
    check_last();
    auto& session = on();
    auto list = all.statements();
    for (auto& s : list) check(s->sql);
    if (list.empty() || !may_ride()) {
        co_await detail::run_statements(*this, std::move(list), barrier::none);
        co_await commit();
        co_return;
    }
    if (!until_.is_never()) {
        list.push_back(std::make_shared<detail::pipelined>());
        list.back()->sql = check_constraints;
    }
    std::exception_ptr failure;
    auto sent = session.sent();
    try {
        commit_next_ = true;
        session.never_cancel(true);
        co_await detail::run_statements(*this, std::move(list), barrier::none);
    } catch (...) {
        failure = std::current_exception();
    }
    commit_next_ = false;
    std::string tag = "COMMIT";
    std::string no_gid;
    std::string no_text;
    if (!failure) {
        co_await end_answered(std::move(tag), std::move(no_gid));
        co_return;
    }
    co_await end_failed(failure, session.sent() != sent, std::move(no_gid), std::move(no_text));
    auto missed = std::make_exception_ptr(no_result());
    for (auto& s : all.statements()) s->failure = s->answered ? nullptr : missed;
}

asio::awaitable<result> last_statement::run_kept(std::string_view sql, const params& args)
{
    return transaction_.run_last(sql, args);
}
asio::awaitable<void> last_statement::run(const statement_list& all) { return transaction_.run_last(all); }

} // namespace pgcoro
