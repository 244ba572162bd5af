// Undoing what a session's user changed beyond transactions.
#include "connection/diagnostics.hpp"
#include "connection/operation.hpp"

#include <pgcoro/connection/identifier.hpp>

#include <boost/asio/this_coro.hpp>

namespace pgcoro::detail
{
namespace
{

// Statements, each a transaction of its own.
class each_by_itself final : public reply_handler
{
public:
    void answered(result_ptr got) override { last = std::move(got); }
    void failed(round_trip::event, result_ptr why, bool) override
    {
        if (error) return;
        error = std::move(why);
        failed_one = done;
    }
    void statement_ended() override { ++done; }

    result_ptr last;
    result_ptr error;
    std::size_t done = 0;
    std::size_t failed_one = 0;
};

} // namespace

asio::awaitable<void> session_impl::undo(steady_time deadline, bool all)
{
    namespace kind = effect_kind;
    check_idle();
    claim here(*this);
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    if (is_broken()) fail(nullptr, {});
    time_limit limit{.deadline = deadline, .of_statement = false};
    auto kinds = effects.to_undo(all);
    auto undoing = effects.undoing(kinds, all);
    if (!speaks_utf8()) {
        // Whatever else is undone: the library sends and decodes UTF-8, also in the statements below.
        undoing.insert(undoing.begin(), {"set client_encoding = 'UTF8'", {}, 0});
        statements.erase_all(); // the server may have read their texts in the other encoding
    }
    auto last = co_await run_each(undoing, limit);
    if (kinds & kind::prepared) {
        undoing.clear();
        for (int i = 0; i < PQntuples(last.get()); ++i)
            undoing.push_back({"deallocate " + identifier(PQgetvalue(last.get(), i, 0)), {}, 0});
        if (!undoing.empty()) co_await run_each(undoing, limit);
    }
    if (kinds & kind::listens)
        while (pq_ptr<PGnotify>(PQnotifies(pg()))) {
        } // that came before
    effects.undone();
}

// In one round trip, each a transaction of its own: none fails because of another, or of what is SET before
// the first. Gives what the last one gave; throws if any failed. Under a claim.
asio::awaitable<result_ptr> session_impl::run_each(const std::vector<session_effects::remembered>& list,
                                                   time_limit limit)
{
    each_by_itself answers;
    operation op(*this, operation::kind::under_claim);
    begin(true);
    for (auto& s : list) {
        send_unprepared(s.sql, s.args, request_kind::statement);
        send_sync();
    }
    socket->flush();
    bool in_time = co_await pump(answers, limit);
    op.finish();
    if (!in_time) fail_overdue({});
    if (answers.error || is_broken())
        fail(answers.error.get(), answers.failed_one < list.size() ? list[answers.failed_one].sql : std::string_view());
    co_return std::move(answers.last);
}

} // namespace pgcoro::detail
