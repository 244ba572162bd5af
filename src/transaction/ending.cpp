// How a transaction ends: COMMIT by itself or with its last statement, PREPARE TRANSACTION; and what came of
// it when there is no answer.
#include <pgcoro/transaction/transaction.hpp>

#include "connection/diagnostics.hpp"
#include "connection/session.hpp"
#include "connection/session.hpp"
#include "resilience/is_a.hpp"
#include "transaction/outcome.hpp"
#include "transaction/two_phase.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

// What is still due, and the time limit, go before it.
std::string transaction::ending_text(std::string_view statement)
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
    return text.append(detail::text_before(limits)).append(statement);
}

asio::awaitable<void> transaction::commit()
{
    return end_by(std::string(detail::commit_statement), ending::committed, {});
}

asio::awaitable<void> transaction::prepare_transaction(std::string_view gid)
{
    check_last();
    on(); // throws after the end
    return end_by(detail::two_phase_statement("prepare transaction", gid), ending::prepared,
                  std::string(gid));
}

asio::awaitable<void> transaction::end_by(std::string statement, ending as, std::string gid)
{
    if (failure_) std::rethrow_exception(failure_); // swallowed by the body: it cannot be committed
    if (state_ == ending::committed || state_ == ending::prepared) co_return;
    if (as == ending::prepared && id_.empty()) {
        // Whatever the options say: without it a lost answer could not be resolved.
        auto got = co_await run_kept(detail::new_id_query, {});
        auto id = got.as_value<std::string>();
        told(id.c_str());
    }
    if (!begun_) { // nothing was done
        ended(ending::committed);
        co_return;
    }
    auto& session = on();
    std::exception_ptr failure;
    std::string tag;
    auto sent = session.sent();
    try {
        if (session.broken() || session.looks_dead()) {
            session.give_up();
            throw connection_error(connection_failure::lost,
                                   "the connection was lost before the transaction's end was sent", {},
                                   statement);
        }
        auto text = ending_text(statement);
        state_ = ending::asked_for;
        co_await session.command(text, answer_due(session), tag);
        if (tag == "ROLLBACK") detail::throw_rolled_back();
        ended(as);
        co_return;
    } catch (...) {
        failure = std::current_exception();
    }
    if (session.sent() != sent && detail::is_a<connection_error>(failure)) {
        if (tag == (as == ending::prepared ? "PREPARE TRANSACTION" : "COMMIT")) { // broke behind the answer
            ended(as);
            co_return;
        }
        co_await find_out(failure, std::move(gid));
        co_return;
    }
    if (!is_cancellation(failure)) state_ = ending::open;
    std::rethrow_exception(failed(failure, statement));
}

// Returns if it took place. Throws `lost` if it did not, so that it is run again; else commit_unknown.
asio::awaitable<void> transaction::find_out(std::exception_ptr lost, std::string gid)
{
    bool wrote_nothing = id_.empty() && options_.resolve_commit;
    let_go();
    std::exception_ptr failure = lost;
    if (!options_.read_only && !wrote_nothing) {
        try {
            bool prepares = !gid.empty();
            detail::lost_transaction which{id_, timeline_, std::move(gid)};
            auto found = co_await detail::find_outcome(pool_, std::move(which), until_, lost);
            resolved_ = true;
            if (found != detail::outcome::aborted) {
                state_ = prepares ? ending::prepared : ending::committed;
                co_return;
            }
        } catch (...) {
            failure = std::current_exception();
        }
    }
    if (resolved_ || failure == lost) state_ = ending::open;
    lost_ = true;
    failure_ = failure;
    std::rethrow_exception(failure);
}

void transaction::check_last() const
{
    if (depth_ > 0)
        throw std::logic_error("pgcoro: the transaction cannot be ended in a savepoint: last() and "
                               "prepare_transaction() belong behind it");
}

// Could its outcome be found out?
bool transaction::commit_may_ride() const noexcept
{
    return options_.read_only || !options_.resolve_commit || !id_.empty();
}

asio::awaitable<result> transaction::run_last(std::string_view sql, const params& args)
{
    check_last();
    if (failure_ || !commit_may_ride()) {
        auto got = co_await run_kept(sql, args);
        co_await commit();
        co_return got;
    }
    auto& session = on();
    std::exception_ptr failure;
    detail::result_ptr kept;
    bool committed = false; // its answer came, and then the connection broke
    auto sent = session.sent();
    try {
        if (!session.ready()) co_await session.make_ready(sql);
        commit_next_ = true;
        auto with = begin(sql);
        detail::request r;
        r.sql = sql;
        r.args = &args;
        r.with = &with;
        r.kept = &kept;
        r.committed = &committed;
        sent = session.sent();
        state_ = ending::asked_for;
        auto got = co_await session.run(r);
        ended(ending::committed);
        co_return got;
    } catch (...) {
        failure = std::current_exception();
    }
    if (session.sent() == sent || !detail::is_a<connection_error>(failure)) {
        if (!is_cancellation(failure)) state_ = ending::open;
        std::rethrow_exception(failed(failure, sql));
    }
    if (committed)
        ended(ending::committed);
    else
        co_await find_out(failure);
    if (kept) co_return result(kept.release());
    throw result_lost("the transaction was committed, and then the connection broke with what its last "
                      "statement gave: do not run it again",
                      {}, sql);
}

asio::awaitable<void> transaction::run_last(const statement_list& all)
{
    check_last();
    bool rides = !failure_ && commit_may_ride();
    auto& session = on();
    std::exception_ptr failure;
    auto sent = session.sent();
    try {
        commit_next_ = rides && !all.empty();
        if (commit_next_) state_ = ending::asked_for;
        co_await detail::run_statements(*this, all.statements(), barrier::none);
        if (rides && !all.empty())
            ended(ending::committed);
        else
            co_await commit();
        co_return;
    } catch (...) {
        failure = std::current_exception();
    }
    if (!rides) std::rethrow_exception(failure);
    lost_ = false; // what failed() made of it came before the outcome was known
    failure_ = nullptr;
    if (session.sent() == sent || !detail::is_a<connection_error>(failure)) {
        if (!is_cancellation(failure)) state_ = ending::open;
        std::rethrow_exception(failed(failure, {}));
    }
    co_await find_out(failure);
    auto no_result = std::make_exception_ptr(result_lost(
        "the transaction was committed, and then the connection broke with what this statement gave: do not "
        "run it again"));
    for (auto& s : all.statements()) s->failure = s->answered ? nullptr : no_result;
}

asio::awaitable<result> last_statement::run_kept(std::string_view sql, const params& args)
{
    return transaction_.run_last(sql, args);
}
asio::awaitable<result> last_statement::run(std::string_view sql, params args)
{
    co_return co_await run_kept(sql, args);
}
asio::awaitable<void> last_statement::run(const statement_list& all) { return transaction_.run_last(all); }

} // namespace pgcoro
