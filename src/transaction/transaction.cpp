#include <pgcoro/transaction/transaction.hpp>

#include "connection/session.hpp"

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

} // namespace

transaction::transaction(lease held, const transaction_options& options, deadline until, int attempt)
    : lease_(std::move(held))
    , options_(options)
    , until_(until)
    , attempt_(attempt)
{}

detail::session& transaction::on() { return lease_->session(); }

detail::prologue transaction::begin(std::string_view sql)
{
    auto& session = lease_->session();
    detail::prologue p;
    if (!begun_) {
        p.before.push_back(begin_statement(options_));
        p.prepare_first = true;
    }
    if (!until_.is_never()) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until_.remaining());
        if (left.count() <= 0) {
            if (!failure_) failure_ = std::make_exception_ptr(out_of_time(sql));
            throw out_of_time(sql);
        }
        // The server stops by itself when the time is over; told in the same round trip.
        auto usual = session.options().statement_timeout;
        if (usual.count() == 0 || left < usual)
            p.before.push_back("set local statement_timeout = " + std::to_string(left.count()));
        p.deadline = until_.time() + session.options().response_grace;
    }
    if (options_.resolve_commit && !options_.read_only && id_.empty())
        p.after = "select pg_current_xact_id_if_assigned()::text";
    begun_ = true;
    return p;
}

void transaction::told(const char* id)
{
    if (id) id_ = id;
}

std::exception_ptr transaction::failed(std::exception_ptr why, std::string_view sql)
{
    try {
        std::rethrow_exception(why);
    } catch (const deadline_exceeded&) {
        return why;
    } catch (const error& e) {
        bool over = until_.expired() && (was_stopped(e) || e.invalidates_connection());
        if (over) {
            auto late = out_of_time(sql);
            late.add_note(e.what());
            why = std::make_exception_ptr(late);
        }
        if (!failure_) failure_ = why;
    } catch (...) {
        // A cancellation, or misuse. Refused before it was sent, it took the BEGIN with it.
        if (lease_->session().clean()) begun_ = false;
    }
    return why;
}

asio::awaitable<result> transaction::run(std::string_view sql, params args)
{
    co_return co_await run_kept(sql, args);
}

asio::awaitable<result> transaction::run_kept(std::string_view sql, const params& args)
{
    auto& session = lease_->session();
    auto with = begin(sql);
    detail::request r;
    r.sql = sql;
    r.args = &args;
    r.before = {with.before.data(), with.before.size()};
    r.prepare_first = with.prepare_first;
    r.after = with.after;
    r.deadline = with.deadline;
    detail::result_ptr after;
    r.after_result = &after;
    std::exception_ptr failure;
    try {
        auto got = co_await session.run(r);
        if (after) told(PQgetisnull(after.get(), 0, 0) ? nullptr : PQgetvalue(after.get(), 0, 0));
        co_return got;
    } catch (...) {
        failure = failed(std::current_exception(), sql);
    }
    std::rethrow_exception(failure);
}

asio::awaitable<transaction::commit_result> transaction::commit(std::exception_ptr& lost)
{
    if (!begun_) {
        lease_.release();
        co_return commit_result::committed; // nothing was done
    }
    if (failure_) std::rethrow_exception(failure_); // swallowed by the body: there is nothing to commit
    auto& session = lease_->session();
    bool sent = false;
    try {
        if (session.broken() || session.looks_dead()) {
            session.give_up();
            throw connection_error(connection_failure::lost, "the connection was lost before COMMIT");
        }
        sent = true;
        auto tag = co_await session.command("commit");
        if (tag == "ROLLBACK") {
            diagnostics d;
            d.severity = "ERROR";
            d.sqlstate = sqlstate("25P02");
            d.message = "COMMIT was answered with ROLLBACK: the transaction had failed before";
            throw server_error(std::move(d), "commit");
        }
        lease_.release();
        co_return commit_result::committed;
    } catch (const connection_error&) {
        lost = std::current_exception();
    }
    lease_.release();
    co_return sent ? commit_result::unknown : commit_result::not_sent;
}

void transaction::tell_committed() noexcept
{
    for (auto& then : std::exchange(at_commit_, {})) then();
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
    lease_.release();
}

} // namespace pgcoro
