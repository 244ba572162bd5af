#include <pgcoro/transaction/transaction.hpp>

#include "connection/session.hpp"
#include "connection/session.hpp"
#include "transaction/outcome.hpp"

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

transaction::transaction(pool& p, lease held, const transaction_options& options, deadline until, int attempt)
    : pool_(p)
    , lease_(std::move(held))
    , options_(options)
    , until_(until)
    , attempt_(attempt)
{
    // Also when nobody asks for anything: an idle transaction keeps its locks.
    if (!until_.is_never()) lease_->session().guard().limit(until_.time());
}

transaction::~transaction()
{
    let_go();
    if (state_ == ending::open) return;
    for (auto& then : at_commit_) then();
}

void transaction::let_go() noexcept
{
    if (!lease_) return;
    auto& session = lease_->session();
    if (!until_.is_never() && !session.guard().unlimit()) session.give_up();
    lease_.release();
}

void transaction::ended(ending as) noexcept
{
    state_ = as;
    let_go(); // before the caller goes on
}

detail::session& transaction::on()
{
    if (!lease_)
        throw std::logic_error(
            "pgcoro: this transaction is at its end: last() and prepare_transaction() end it");
    return lease_->session();
}

// How long the client waits for an answer: somewhat longer than the server may work at it.
std::chrono::steady_clock::time_point transaction::answer_due(detail::session& session) const
{
    if (until_.is_never()) return std::chrono::steady_clock::time_point::max();
    return until_.time() + session.options().response_grace;
}

// The server stops by itself when the time is over; told in the same round trip.
void transaction::limit_time(detail::session& session, detail::prologue& p, bool first, std::string_view sql)
{
    using std::chrono::milliseconds;
    if (until_.is_never()) return;
    auto left = std::chrono::ceil<milliseconds>(until_.remaining());
    if (left.count() <= 0) {
        lost_ = true;
        failure_ = std::make_exception_ptr(out_of_time(sql));
        std::rethrow_exception(failure_);
    }
    auto usual = session.options().statement_timeout;
    if (usual.count() == 0 || left < usual)
        p.before.push_back("set local statement_timeout = " + std::to_string(left.count()));
    // It costs the connection, so it comes after statement_timeout: for a client that sends nothing more.
    constexpr int has_transaction_timeout = 170000;
    constexpr milliseconds later{1000};
    if (first && PQserverVersion(session.pg()) >= has_transaction_timeout)
        p.before.push_back("set local transaction_timeout = " + std::to_string((left + later).count()));
    p.deadline = answer_due(session);
}

detail::prologue transaction::begin(std::string_view sql)
{
    auto& session = on();
    if (lost_) std::rethrow_exception(failure_);
    if (begun_ && session.transaction_status() == PQTRANS_IDLE) {
        lost_ = true;
        failure_ = std::make_exception_ptr(
            error("the transaction is not open on the server any more: its first statement was cancelled "
                  "before it had begun, or its body ran COMMIT or ROLLBACK itself",
                  {}, sql));
        std::rethrow_exception(failure_);
    }
    detail::prologue p;
    before_ = {session.sent(), begun_, set_, std::move(due_)};
    due_.clear();
    if (!begun_) {
        p.before.push_back(begin_statement(options_));
        p.prepare_first = true;
        if (auto& settings = session.settings_of_transaction(); !settings.empty())
            p.before.push_back(settings);
    }
    for (auto& statement : before_.due) p.before.push_back(statement);
    limit_time(session, p, !begun_, sql);
    while (set_ < depth_) p.before.push_back("savepoint pgcoro_" + std::to_string(++set_));
    if (options_.resolve_commit && !options_.read_only && id_.empty())
        p.after = session.timeline().empty() ? detail::id_and_timeline_query : detail::id_query;
    p.commit = std::exchange(commit_next_, false);
    begun_ = true;
    return p;
}

void transaction::told(const char* text)
{
    if (!text) return;
    std::string_view got = text;
    auto& session = lease_->session();
    if (auto space = got.find(' '); space != got.npos) {
        session.set_timeline(got.substr(space + 1));
        got = got.substr(0, space);
    }
    id_ = got;
    timeline_ = session.timeline();
}

std::exception_ptr transaction::failed(std::exception_ptr why, std::string_view sql)
{
    commit_next_ = false;
    if (!lease_) return why;
    auto& session = lease_->session();
    try {
        std::rethrow_exception(why);
    } catch (const deadline_exceeded&) {
        return why;
    } catch (const error& e) {
        if (lost_) return why;
        // With COMMIT under way a lost connection must stay one: what came of it is found out first.
        bool over =
            state_ == ending::open && until_.expired() && (was_stopped(e) || e.invalidates_connection());
        if (over) {
            auto late = out_of_time(sql);
            late.add_note(e.what());
            why = std::make_exception_ptr(late);
        }
        lost_ = over || ends_all(e) || session.broken() || session.transaction_status() == PQTRANS_IDLE;
        if (!failure_ || lost_) failure_ = why;
    } catch (...) {
        // A cancellation, or misuse. What went no further than here is to be sent yet.
        if (session.sent() == before_.sent && !lost_) {
            begun_ = before_.begun;
            set_ = before_.set;
            due_ = std::move(before_.due);
        }
    }
    return why;
}

asio::awaitable<result> transaction::run(std::string_view sql, params args)
{
    co_return co_await run_kept(sql, args);
}

asio::awaitable<result> transaction::run_kept(std::string_view sql, const params& args)
{
    auto& session = on();
    std::exception_ptr failure;
    try {
        if (!session.ready()) co_await session.make_ready(sql);
        auto with = begin(sql);
        detail::request r;
        r.sql = sql;
        r.args = &args;
        r.with = &with;
        detail::result_ptr after;
        r.after_result = &after;
        auto got = co_await session.run(r);
        if (after) told(detail::first_value(after.get()));
        co_return got;
    } catch (...) {
        failure = failed(std::current_exception(), sql);
    }
    std::rethrow_exception(failure);
}

asio::awaitable<void> transaction::set_local(std::string_view name, std::string_view value)
{
    auto set = [](transaction& tx, params args) -> asio::awaitable<void> {
        co_await tx.run_kept("select pg_catalog.set_config($1, $2, true)", args);
    };
    return set(*this, params::of(name, value));
}

asio::awaitable<void> transaction::rollback(std::chrono::steady_clock::time_point by)
{
    if (!lease_) co_return;
    auto& session = lease_->session();
    if (begun_ && !session.broken() && !session.clean()) {
        try {
            co_await session.recover(by, true);
        } catch (const error&) {
            session.give_up();
        }
    }
    let_go();
}

} // namespace pgcoro
