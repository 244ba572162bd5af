#include <pgcoro/transaction/transaction.hpp>

#include "base/server_questions.hpp"
#include "base/shortened.hpp"
#include "connection/clock.hpp"
#include "connection/session.hpp"
#include "connection/settings_transaction.hpp"
#include "resilience/is_a.hpp"
#include "sql/transaction_control.hpp"
#include "transaction/core.hpp"
#include "transaction/outcome.hpp"
#include "transaction/parts.hpp"
#include "transaction/statement_limit.hpp"

#include <boost/asio/multiple_exceptions.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;
namespace
{

std::string begin_statement(const transaction_options& options)
{
    std::string sql = "begin";
    switch (options.isolation) {
    case isolation::server_default:
        break;
    case isolation::read_committed:
        sql += " isolation level read committed";
        break;
    case isolation::repeatable_read:
        sql += " isolation level repeatable read";
        break;
    case isolation::serializable:
        sql += " isolation level serializable";
        break;
    }
    if (options.read_only) sql += " read only";
    if (options.deferrable) sql += " deferrable";
    return sql;
}

// A server's timeout, unless the one that is in force is as short. The text is the same for every timeout and limit. A
// timeout as text, such as '5s', is an interval as well.
detail::companion tightening(std::string_view timeout, std::chrono::milliseconds limit, params& args)
{
    args = params::of(timeout, std::to_string(limit.count()) + "ms");
    return detail::companion::prepared("select pg_catalog.set_config($1, $2, true) where pg_catalog.current_setting($1)::"
                                       "pg_catalog.interval not between '1us' and $2::pg_catalog.interval",
                                       args);
}

deadline_exceeded out_of_time(std::string_view sql)
{
    return deadline_exceeded("the transaction's timeout is over", {}, sql);
}

// Did the server stop a statement because of its statement_timeout (or a cancel request)?
bool was_stopped(const error& e) { return e.sqlstate() == sqlstates::query_canceled; }

// Does it end the transaction as a whole, whatever savepoint it happened in?
bool ends_all(const error& e)
{
    return e.invalidates_connection() || classify(e.sqlstate()) == failure_class::retry_transaction;
}

} // namespace

transaction::transaction(detail::connection_source& source, lease held, const transaction_options& options,
                         deadline until, int attempt, const std::vector<std::string>& unprepared)
    : source_(source)
    , lease_(std::move(held))
    , options_(options)
    , until_(until)
    , attempt_(attempt)
    , unprepared_(unprepared)
    , core_(new detail::transaction_core({.by_id = options.resolve_commit != resolve_commit::off,
                                          .by_marker = options.resolve_commit == resolve_commit::by_marker,
                                          .read_only = options.read_only}))
    , limit_(new detail::statement_limit)
{
    // Also when nobody asks for anything: an idle transaction keeps its locks.
    if (!until_.is_never()) lease_->session().guard().limit(until_.time());
}

void detail::transaction_core_deleter::operator()(transaction_core* c) const noexcept { delete c; }
void detail::statement_limit_deleter::operator()(statement_limit* l) const noexcept { delete l; }

transaction::~transaction()
{
    let_go();
    if (!core_->may_have_taken_effect()) return;
    for (auto& then : at_commit_) then();
}

const std::string& transaction::id() const noexcept { return core_->id(); }

void transaction::let_go() noexcept
{
    if (!lease_) return;
    auto& session = lease_->session();
    session.never_cancel(false);
    if (!until_.is_never()) session.guard().unlimit();
    lease_.release();
}

detail::session& transaction::on()
{
    if (!lease_)
        throw std::logic_error(
            "pgcoro: this transaction is at its end: last() and prepare_transaction() end it");
    return lease_->session();
}

detail::session* transaction::session() noexcept { return lease_ ? &lease_->session() : nullptr; }

// How long the client waits for an answer: a moment longer than the server may work at it, so that the server's own
// error mostly comes first, and the connection stays usable.
std::chrono::steady_clock::time_point transaction::answer_due() const
{
    constexpr auto moment = 2 * detail::statement_limit::slack;
    return detail::time_after(until_.time(), moment);
}

void transaction::fail_late(std::string_view sql)
{
    core_->doom();
    failure_ = latest_ = std::make_exception_ptr(out_of_time(sql));
    std::rethrow_exception(failure_);
}

// The server stops by itself when the time is over. Its limits travel with a statement.
void transaction::limit_time(detail::session& session, detail::prologue& p, bool first, std::string_view sql)
{
    using std::chrono::milliseconds;
    if (until_.is_never()) return;
    auto left = std::chrono::ceil<milliseconds>(until_.remaining());
    if (left.count() <= 0) fail_late(sql);
    p.deadline = answer_due();
    limit_statement_time(session, p);
    // It costs the connection, so it comes after statement_timeout: for a client that sends nothing more.
    constexpr milliseconds most{std::numeric_limits<std::int32_t>::max()};
    constexpr int has_transaction_timeout = 170000;
    constexpr milliseconds later{1000};
    if (first && left < most - later && PQserverVersion(session.pg()) >= has_transaction_timeout)
        p.before.push_back(tightening("transaction_timeout", left + later, transaction_time_));
}

void transaction::limit_statement_time(detail::session& session, detail::prologue& p)
{
    auto limit = limit_->next(detail::clock::now(), until_.time(), session.options().statement_timeout);
    if (limit) p.before.push_back(tightening("statement_timeout", *limit, statement_time_));
}

// Settings of one statement may loosen the limit, and are set back behind it.
void transaction::limit_again(detail::session& session, detail::prologue& p, const local_settings& settings)
{
    if (until_.is_never() || !settings.find("statement_timeout")) return;
    limit_->forget();
    limit_statement_time(session, p);
    limit_->forget();
}

// A statement that would end the transaction would take its fate out of our hands.
void transaction::check(std::string_view sql)
{
    auto command = sql::transaction_control(sql).what;
    if (command == sql::control::none || command == sql::control::savepoint) {
        if (sql::mentions_notify(sql)) core_->acts_elsewhere();
        if (sql::mentions_synchronous_commit(sql)) core_->sets_durability();
        return;
    }
    core_->doom();
    failure_ = latest_ = std::make_exception_ptr(std::logic_error(
        "pgcoro: this statement would begin or end the transaction: return from the body to commit, throw to roll "
        "back, use savepoint() to undo a part, or prepare_transaction(); nothing was sent, and the transaction is "
        "rolled back: " +
        detail::shortened(sql, detail::longest_statement)));
    std::rethrow_exception(failure_);
}

std::string_view transaction::rights_question() const noexcept
{
    return options_.resolve_commit == resolve_commit::by_marker ? detail::rights_and_marker_query
                                                                : detail::rights_query;
}

// What is asked behind the next statement: the role's rights first, once a session; then the id, until there is one.
std::string_view transaction::next_question()
{
    asked_ = question::none;
    if (asking_ || commit_next_ || !core_->wants_id()) return {};
    auto& server = lease_->session().server();
    if (!server.asked) {
        asked_ = question::rights;
        return rights_question();
    }
    if (!(server.may & detail::server_right::id)) {
        core_->id_is_denied();
        return {};
    }
    asked_ = question::id;
    // Behind a pooler the session may be on another server by now.
    bool certain = server.backend != 0 && lease_->session().options().pooler == pooler_mode::none;
    return certain ? detail::id_query : std::string_view(server.identity_query);
}

detail::prologue transaction::begin(std::string_view sql)
{
    auto& session = on();
    if (core_->over()) std::rethrow_exception(failure_);
    if (core_->begun() && session.transaction_status() == PQTRANS_IDLE) {
        core_->left_by_body();
        failure_ = latest_ = std::make_exception_ptr(
            error("the transaction is not open on the server any more: its first statement was cancelled "
                  "before it had begun, or its body ran COMMIT or ROLLBACK itself",
                  {}, sql));
        std::rethrow_exception(failure_);
    }
    check(sql);
    detail::prologue p;
    before_ = {session.sent(), set_, std::move(due_)};
    due_.clear();
    bool first = !core_->begun();
    if (first) {
        p.before.push_back(detail::companion::prepared(begin_statement(options_)));
        if (auto& settings = session.settings_of_transaction(); !settings.empty()) p.before.push_back({settings});
        if (session.server().backend != 0 && session.options().pooler == pooler_mode::none)
            core_->server_known(session.server().identity);
    }
    for (auto& statement : before_.due) p.before.push_back({statement});
    limit_time(session, p, first, sql);
    if (!until_.is_never() && detail::statement_limit::may_change(sql)) limit_->forget();
    while (set_ < depth_) p.before.push_back({"savepoint pgcoro_" + std::to_string(++set_)});
    p.after = next_question();
    if (!std::exchange(commit_next_, false)) {
        core_->statement_sent();
        return p;
    }
    p.commit = detail::commit_place::before_sync;
    if (core_->wants_marker(true)) {
        p.before.push_back({marker_statement()});
        core_->marker_sent();
    }
    // As before COMMIT by itself; a list has it as its last statement.
    if (!sql.empty() && !until_.is_never()) p.after = check_constraints;
    core_->end_sent(detail::transaction_core::closing::commit, true);
    return p;
}

void transaction::told(const char* text)
{
    if (!lease_) return;
    auto& server = lease_->session().server();
    switch (std::exchange(asked_, question::none)) {
    case question::none:
        return;
    case question::rights:
        detail::learn(server, text ? text : "0");
        return;
    case question::id:
        break;
    }
    if (!text) return core_->id_answered({}, {});
    auto got = detail::parse_told_id(text);
    if (got.has_identity) {
        server.identity = got.identity;
        server.backend = got.backend;
    } else if (got.backend != server.backend) {
        // A pooler that nobody told of: what is known of the server is of another one. Asked again.
        server.backend = 0;
        return;
    }
    core_->id_answered(got.id, server.identity);
}

// A row in a foreign table leaves no id behind: nor can its transaction be found again without one.
void transaction::note_effects(const result& got)
{
    if (!core_->id().empty() || got.affected_rows() == 0) return;
    auto tag = got.command_tag();
    if (tag.starts_with("INSERT") || tag.starts_with("UPDATE") || tag.starts_with("DELETE") ||
        tag.starts_with("MERGE"))
        core_->acts_elsewhere();
}

bool transaction::threw(const std::exception_ptr& failure) const noexcept
{
    if (!failure) return false;
    auto inner = failure;
    try {
        std::rethrow_exception(failure);
    } catch (const asio::multiple_exceptions& several) { // of awaitable operators
        inner = several.first_exception();
    } catch (...) {
        // Any other is what it is.
    }
    return inner == failure_ || inner == latest_;
}

// A failure that came because the transaction's time is over is a deadline_exceeded.
std::exception_ptr transaction::overdue(std::exception_ptr failure, std::string_view sql)
{
    if (!until_.expired()) return failure;
    try {
        std::rethrow_exception(failure);
    } catch (const deadline_exceeded&) {
        return failure;
    } catch (const error& e) {
        if (!was_stopped(e) && !e.invalidates_connection()) return failure;
        auto late = out_of_time(sql);
        late.add_note(e.what());
        return std::make_exception_ptr(late);
    } catch (...) {
        return failure;
    }
}

std::exception_ptr transaction::failed(std::exception_ptr why, std::string_view sql)
{
    commit_next_ = false;
    asked_ = question::none;
    if (!lease_) return why;
    auto& session = lease_->session();
    try {
        std::rethrow_exception(why);
    } catch (const error& e) {
        // With COMMIT under way the outcome is found out first.
        if (core_->over()) return why;
        bool lost = dynamic_cast<const connection_error*>(&e) || !is_servers_word(e);
        bool late = until_.expired() && (was_stopped(e) || e.invalidates_connection());
        if (lost)
            core_->connection_lost(e.sqlstate());
        else
            core_->statement_refused(late || ends_all(e) || session.broken() ||
                                     session.transaction_status() == PQTRANS_IDLE);
        why = overdue(why, sql);
        if (!failure_ || core_->over()) failure_ = why;
        latest_ = why;
    } catch (...) {
        // A cancellation, or misuse. What went no further than here is to be sent yet.
        if (session.sent() == before_.sent && !core_->over()) {
            core_->statement_not_sent();
            limit_->forget();
            set_ = before_.set;
            due_ = std::move(before_.due);
        }
    }
    return why;
}

asio::awaitable<result> transaction::run_kept(std::string_view sql, const params& args)
{
    return run_with(detail::no_local_settings, sql, args);
}

asio::awaitable<result> transaction::run_with(const local_settings& settings, std::string_view sql, const params& args)
{
    auto& session = on();
    std::exception_ptr failure;
    try {
        if (!session.ready()) co_await session.make_ready(sql);
        auto with = begin(sql);
        std::optional<detail::settings_in_transaction> set;
        if (!settings.empty()) {
            set.emplace(with, settings);
            limit_again(session, with, settings);
        }
        detail::request r;
        r.sql = sql;
        r.args = &args;
        r.with = &with;
        if (!unprepared_.empty() && std::ranges::find(unprepared_, sql) != unprepared_.end()) r.sent_as = sql;
        r.internal = asking_;
        detail::result_ptr after;
        r.after_result = &after;
        auto got = co_await session.run(r);
        if (after) told(detail::first_value(after.get()));
        note_effects(got);
        co_return got;
    } catch (...) {
        failure = failed(std::current_exception(), sql);
    }
    std::rethrow_exception(failure);
}

with_settings<transaction> transaction::with(local_settings settings) { return {*this, std::move(settings)}; }

asio::awaitable<void> transaction::set_local(std::string_view name, std::string_view value)
{
    if (sql::mentions_synchronous_commit(name)) core_->sets_durability();
    auto set = [](transaction& tx, params args) -> asio::awaitable<void> {
        co_await tx.run_kept("select pg_catalog.set_config($1, $2, true)", args);
    };
    return set(*this, params::of(name, value));
}

asio::awaitable<void> transaction::rollback(std::chrono::steady_clock::time_point by)
{
    if (!lease_) co_return;
    auto& session = lease_->session();
    session.never_cancel(false);
    if (core_->begun() && !session.broken() && !session.clean()) {
        try {
            co_await session.recover(by, true);
        } catch (const error&) {
            session.give_up();
        }
    }
    let_go();
}

} // namespace pgcoro
