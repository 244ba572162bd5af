// Single statements, and texts of the simple protocol.
#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
#include "connection/operation.hpp"
#include "connection/statement_text.hpp"

#include <boost/asio/this_coro.hpp>

#include <stdexcept>

namespace pgcoro::detail
{
namespace
{

// One statement, with what goes before and behind it.
class single_statement final : public reply_handler
{
public:
    void answered(result_ptr result) override { got = std::move(result); }
    void trailer(result_ptr text) override { after = std::move(text); }
    void committed(bool rolled_back) override
    {
        is_rolled_back = rolled_back;
        is_committed = !rolled_back;
    }
    void failed(round_trip::event, result_ptr why, bool known) override
    {
        if (error) return;
        error = std::move(why);
        is_known = known;
    }
    void copy_misused() override { is_copy = true; }

    result_ptr got;
    result_ptr after;
    result_ptr error;
    bool is_known = false;
    bool is_committed = false;
    bool is_rolled_back = false;
    bool is_copy = false;
};

// A text of the simple protocol whose rows nobody wants.
class simple_text final : public reply_handler
{
public:
    void answered(result_ptr got) override { tag = PQcmdStatus(got.get()); }
    void failed(round_trip::event, result_ptr why, bool) override
    {
        if (!error) error = std::move(why);
    }

    std::string tag; // of the last statement that succeeded
    result_ptr error;
};

[[noreturn]] void throw_copy_misused(bool lost)
{
    throw std::logic_error(std::string("pgcoro: COPY … FROM STDIN and TO STDOUT go through copy_in and copy_out, not "
                                       "through query, execute or a script") +
                           (lost ? "; the connection is given up" : ""));
}

} // namespace

bool session_impl::forget_stale_statement(const PGresult* error, bool is_known, std::string_view sql)
{
    if (!error || is_broken() || !statements.enabled()) return false;
    auto code = code_of(error);
    auto field = [&](int which) {
        auto* text = PQresultErrorField(error, which);
        return std::string_view(text ? text : "");
    };
    if (is_lost_statement(code, field(PG_DIAG_SOURCE_FUNCTION), field(PG_DIAG_MESSAGE_PRIMARY))) {
        bool server_has_it = code != sqlstates::invalid_sql_statement_name;
        statements.erase(sql, server_has_it);
        return true;
    }
    if (!is_known || !may_be_stale_statement(code)) return false;
    statements.erase(sql, true);
    return is_plain_statement(sql);
}

// What went with the statements may be what was lost.
void session_impl::forget_companions(const PGresult* error, const prologue& with)
{
    for (auto& each : with.before)
        if (each.prepares) forget_stale_statement(error, false, each.sql);
    if (with.behind.prepares) forget_stale_statement(error, false, with.behind.sql);
    if (!with.after.empty()) forget_stale_statement(error, false, with.after);
    if (with.commit != commit_place::none) forget_stale_statement(error, false, commit_statement);
}

asio::awaitable<result> session_impl::run_plain(request r)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    if (!is_ready() || is_broken()) co_await make_ready(r.sql);

    auto& args = r.args ? *r.args : no_params;
    auto* observer = r.internal ? nullptr : options->observer;
    for (bool again = false;; again = true) {
        bool prepares = statements.enabled() && r.sent_as.empty();
        auto* known = prepares ? find_prepared(r.sql, args) : nullptr;
        if (!known) check(r.sql, args.size()); // which those that are known have passed
        run_report told{.sql = r.sql};
        if (observer) {
            told.begun = clock::now();
            told.repeats = count_repeats(known);
        }
        bool is_whole = r.with->before.empty() || r.with->commit == commit_place::after_sync;
        bool may_repeat = !again && is_idle() && is_whole;
        single_statement answer;
        operation op(*this);
        send(r, known);
        socket->flush();
        if (observer) sent_at = clock::now();
        pumping p(*this, answer, {.deadline = r.with->deadline}, pumping::start::just_sent);
        while (p.waits()) {
            if (p.only_reads()) {
                auto [ec] = co_await socket->readable();
                p.read(ec);
            } else {
                co_await socket->step();
                p.stepped();
            }
        }
        bool in_time = p.end();
        op.finish();
        if (observer) {
            told.error = answer.error.get();
            told.prepared_now = !preparing.empty();
            told.bytes_sent = args.bytes();
            if (answer.got) {
                told.rows = rows_of(answer.got.get());
                told.bytes_received = bytes_of(answer.got.get());
            }
            report(told);
        }
        if (answer.is_copy) throw_copy_misused(is_broken());
        if (r.after_result) *r.after_result = std::move(answer.after);
        if (in_time && !answer.error && !is_broken()) {
            if (answer.is_rolled_back) throw_rolled_back();
            if (r.context) *r.context = context_key();
            co_return result(answer.got.release());
        }
        if (r.kept) *r.kept = std::move(answer.got);
        if (r.committed) *r.committed = answer.is_committed;
        if (!in_time) fail_overdue(r.sql);

        if (forget_stale_statement(answer.error.get(), answer.is_known, r.sql)) {
            forget_companions(answer.error.get(), *r.with);
            if (may_repeat && is_idle()) continue; // prepared again, once; in a transaction it is too late
        }
        fail(answer.error.get(), r.sql);
    }
}

// ROLLBACK, COMMIT, or nothing at all.
asio::awaitable<void> session_impl::run_simple(operation& op, std::string_view sql, time_limit limit, std::string* tag)
{
    simple_text answer;
    begin(false);
    send_script(std::string(sql), {});
    socket->flush();
    pumping p(*this, answer, limit, pumping::start::just_sent);
    while (p.waits()) {
        if (p.only_reads()) {
            auto [ec] = co_await socket->readable();
            p.read(ec);
        } else {
            co_await socket->step();
            p.stepped();
        }
    }
    bool in_time = p.end();
    op.finish();
    if (tag) *tag = std::move(answer.tag);
    if (!in_time) fail_overdue(sql);
    if (answer.error || is_broken()) fail(answer.error.get(), sql);
}

asio::awaitable<void> session_impl::command_plain(std::string_view sql, time_limit limit, std::string& tag)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    if (!is_ready() || is_broken()) co_await make_ready(sql);
    operation op(*this);
    co_await run_simple(op, sql, limit, &tag);
}

asio::awaitable<void> session_impl::ping(steady_time deadline)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    if (!is_ready()) co_await recover(deadline, false);
    if (is_broken()) fail(nullptr, {});
    claim here(*this);
    operation op(*this, operation::kind::under_claim);
    co_await run_simple(op, "", {.deadline = deadline, .of_statement = false});
}

} // namespace pgcoro::detail
