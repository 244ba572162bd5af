#include "connection/session.hpp"

#include "connection/clock.hpp"
#include "connection/connect.hpp"
#include "connection/diagnostics.hpp"
#include "connection/exchange.hpp"
#include "connection/operation.hpp"
#include "connection/settings.hpp"

#include <pgcoro/observer/observer.hpp>

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include <sys/socket.h>

namespace pgcoro::detail
{

session::session(std::shared_ptr<const connection_options> options, std::string label,
                 std::unique_ptr<wire> w)
    : options_(std::move(options))
    , label_(std::move(label))
    , wire_(std::move(w))
    , backend_pid_(PQbackendPID(wire_->get()))
    , canceller_(PQgetCancel(wire_->get()), &PQfreeCancel)
    // A transaction's session behind a pooler is not the one that a statement was prepared in.
    , statements_(options_->pooler == pooler_mode::transaction ? 0 : options_->statement_cache_size)
{
    if (options_->pooler == pooler_mode::transaction)
        settings_of_transaction_ = settings_statement(*options_, true);
    PQsetNoticeReceiver(
        wire_->get(),
        [](void* self, const PGresult* notice) {
            auto& s = *static_cast<session*>(self);
            if (!s.options_->observer) return;
            auto d = read_diagnostics(notice);
            s.options_->observer->on_notice(
                {s.label_, d.severity, d.sqlstate.str(), d.message, d.detail, d.hint});
        },
        this);
}

session::~session() { end_use(); }

void session::end_use() noexcept
{
    end_holder();
    if (!tenure_) return;
    tenure_->holder = nullptr;
    tenure_.reset();
    statements_.unpin_all();
}

std::shared_ptr<const tenure> session::tenure()
{
    if (!tenure_) tenure_ = std::make_shared<detail::tenure>(this);
    return tenure_;
}

asio::awaitable<owned<session>> session::connect(std::shared_ptr<const connection_options> options,
                                                 std::string label, time_point deadline)
{
    auto begun = clock::now();
    auto* observer = options->observer;
    auto span = open_span::begin(observer, span_of::connect, options->trace);
    owned<session> made;
    std::exception_ptr failure;
    try {
        auto connected = co_await connect_wire(*options, deadline);
        made.reset(new session(options, label, std::move(connected)));
        if (options->pooler == pooler_mode::session)
            co_await made->make_settings(std::min(deadline, clock::now() + options->connect_timeout));
    } catch (const error&) {
        failure = std::current_exception();
    }
    if (observer) {
        const char* host = made ? PQhost(made->pg()) : nullptr;
        observer->on_connect({label, host ? host : "", clock::now() - begun, failure});
    }
    if (span) {
        auto of = [&](const char* key) {
            auto it = options->parameters.find(key);
            return it == options->parameters.end() ? nullptr : it->second.c_str();
        };
        span->at(label, of("dbname"), of("host"), of("port"));
        if (made) made->place(*span);
        if (failure)
            span->failed(failure);
        else
            span->end();
    }
    if (failure) std::rethrow_exception(failure);
    co_return made;
}

session::time_point session::response_deadline() const noexcept
{
    if (options_->statement_timeout.count() == 0) return time_point::max();
    return coarse_now() + options_->statement_timeout + options_->response_grace;
}

bool session::looks_dead() const noexcept
{
    if (broken()) return true;
    char byte;
    auto n = ::recv(PQsocket(wire_->get()), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void session::fail(const PGresult* result, std::string_view sql)
{
    if (wire_->broken() || (result && is_fatal(result))) broken_ = true;
    if (wire_->guard().is_cut()) fail_overdue(sql); // which is why it broke
    throw_result_error(result, wire_->get(), backend_pid_, sql);
}

void session::fail_overdue(std::string_view sql)
{
    std::string what =
        "no answer from the server (" + peer() + ") within the time given, so the connection was given up";
    if (!sql.empty())
        what += ". A statement's time is statement_timeout " +
                std::to_string(options_->statement_timeout.count()) + " ms + response_grace " +
                std::to_string(options_->response_grace.count()) +
                " ms: raise response_grace where SET raises statement_timeout";
    throw connection_error(connection_failure::timeout, what, {}, sql);
}

void session::need(int sent, std::string_view sql)
{
    if (!sent) fail(nullptr, sql);
}

void session::check_idle() const
{
    if (busy())
        throw std::logic_error("pgcoro: an operation is already under way on this connection; one at a time");
}

asio::awaitable<void> session::make_ready(std::string_view sql)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (!ready()) co_await recover(response_deadline(), false);
    if (broken())
        throw connection_error(
            connection_failure::lost,
            "the connection was lost before this statement (" + peer() + "): get another one", {}, sql);
}

asio::awaitable<result> session::run_plain(request r)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (!ready() || broken()) co_await make_ready(r.sql);

    auto& args = r.args ? *r.args : no_params;
    auto* observer = options_->observer;
    for (bool again = false;; again = true) {
        bool prepares = statements_.enabled() && r.sent_as.empty();
        auto* known = prepares ? statements_.find(r.sql, args) : nullptr;
        if (!known) check(r.sql, args.size()); // which those that are known have passed
        run_report told{.sql = r.sql};
        if (observer) {
            told.begun = clock::now();
            told.repeats = count_repeats(known);
        }
        bool idle = PQtransactionStatus(wire_->get()) == PQTRANS_IDLE && r.with->before.empty();
        result_ptr got;
        exchange x;
        operation op(*this, work::statement, std::min(response_deadline(), r.with->deadline));
        send(r, known, x);
        wire_->flush();
        if (observer) told.sent = clock::now();
        while (!x.done()) {
            while (wire_->busy()) {
                if (!wire_->only_reads()) {
                    auto& stamp = wire_->flushing() ? told.sent : told.answered;
                    co_await wire_->step();
                    if (observer && (&stamp == &told.sent || stamp == time_point())) stamp = clock::now();
                    continue;
                }
                auto [ec] = co_await wire_->readable();
                if (ec) throw boost::system::system_error(ec);
                if (observer && told.answered == time_point()) told.answered = clock::now();
                wire_->consume();
            }
            result_ptr answer(PQgetResult(wire_->get()));
            if (!answer && wire_->broken()) break; // a broken connection's end of all
            auto what = take(x, answer);
            if (what == taken::main)
                got = std::move(answer);
            else if (what == taken::after)
                *r.after_result = std::move(answer);
            if (wire_->broken() || (x.error && is_fatal(x.error.get()))) break;
        }
        bool in_time = op.finish();
        settle(x);
        if (got && drops_statements(got.get())) statements_.clear();
        if (observer) {
            told.error = x.error.get();
            told.prepared_now = !x.prepares.empty();
            told.bytes_sent = args.bytes();
            if (got) {
                told.rows = rows_of(got.get());
                told.bytes_received = bytes_of(got.get());
            }
            report(told);
        }
        if (in_time && !x.error && !broken_) {
            if (x.rolled_back) throw_rolled_back();
            co_return result(got.release());
        }
        if (r.kept) *r.kept = std::move(got);
        if (r.committed) *r.committed = x.committed;
        if (!in_time) fail_overdue(r.sql);

        if (forget_lost_statement(x, r.sql)) {
            forget_companions(x, *r.with);
            if (idle && !again) continue; // prepared anew, once; in a transaction it is too late
        }
        fail(x.error.get(), r.sql);
    }
}

// By the simple protocol: ROLLBACK, COMMIT, or nothing at all. Within an operation.
asio::awaitable<void> session::run_simple(std::string_view sql, std::string* tag)
{
    if (!PQsendQuery(wire_->get(), std::string(sql).c_str())) fail(nullptr, sql);
    wire_->flush();
    result_ptr error;
    for (;;) {
        auto answer = co_await wire_->next_result();
        if (!answer) break;
        if (PQresultStatus(answer.get()) == PGRES_FATAL_ERROR)
            error = std::move(answer);
        else if (tag)
            *tag = PQcmdStatus(answer.get());
        if (wire_->broken()) break;
    }
    if (error || wire_->broken()) fail(error.get(), sql);
}

asio::awaitable<void> session::command_plain(std::string_view sql, time_point deadline, std::string& tag)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (!ready() || broken()) co_await make_ready(sql);
    operation op(*this, work::statement, std::min(response_deadline(), deadline));
    co_await run_simple(sql, &tag);
    if (!op.finish()) fail_overdue(sql);
}

asio::awaitable<void> session::ping(time_point deadline)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (!ready()) co_await recover(deadline, false);
    if (broken()) fail(nullptr, {});
    claim here(*this);
    operation op(*this, work::internal, deadline);
    co_await run_simple("");
    if (!op.finish()) fail_overdue({});
}

std::uint32_t session::count_repeats(const void* known) noexcept
{
    repeats_ = known && known == last_known_ ? repeats_ + 1 : 1;
    last_known_ = known;
    return repeats_;
}

void session::report(const run_report& r)
{
    auto now = clock::now();
    query_event event;
    event.pool = label_;
    event.sql = r.sql;
    event.duration = now - r.begun;
    event.rows = r.rows;
    auto code = r.error ? code_of(r.error) : sqlstate();
    if (code || !(r.error || wire_->broken())) event.sqlstate = code.str();
    event.prepared_now = r.prepared_now;
    event.operation = operation_;
    event.waited = std::exchange(waited_, {});
    if (r.sent != time_point()) {
        auto answered = r.answered == time_point() ? now : r.answered;
        event.sending = r.sent - r.begun;
        event.server = answered - r.sent;
        event.receiving = now - answered;
    }
    event.bytes_sent = r.bytes_sent;
    event.bytes_received = r.bytes_received;
    event.repeats = r.repeats;
    options_->observer->on_query(event);
}

} // namespace pgcoro::detail
