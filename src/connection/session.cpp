#include "connection/session.hpp"

#include "connection/clock.hpp"
#include "connection/connect.hpp"
#include "connection/diagnostics.hpp"

#include <pgcoro/observer/observer.hpp>

#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include <sys/socket.h>

namespace pgcoro::detail
{
namespace
{

using clock = std::chrono::steady_clock;

// Parameters as libpq wants them: parallel arrays.
struct bound_params
{
    boost::container::small_vector<oid, 16> types;
    boost::container::small_vector<const char*, 16> values;
    boost::container::small_vector<int, 16> lengths;
    boost::container::small_vector<int, 16> formats;

    explicit bound_params(const params& args)
    {
        for (std::size_t i = 0; i < args.size(); ++i) {
            auto& p = args[i];
            types.push_back(p.type);
            values.push_back(p.size < 0 ? nullptr : args.data() + p.offset);
            lengths.push_back(p.size);
            formats.push_back(static_cast<int>(p.in));
        }
    }
    int count() const { return static_cast<int>(values.size()); }
};

constexpr int binary = 1;
const params no_params;

// The session ends with such an error, whatever else was asked of it.
bool is_fatal(const PGresult* error)
{
    std::string_view severity = PQresultErrorField(error, PG_DIAG_SEVERITY_NONLOCALIZED)
                                    ? PQresultErrorField(error, PG_DIAG_SEVERITY_NONLOCALIZED)
                                    : "";
    return severity == "FATAL" || severity == "PANIC";
}

sqlstate code_of(const PGresult* error)
{
    auto* text = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    return sqlstate(text ? text : "");
}

} // namespace

// A cancel request on its way. It outlives the session if it must: PQcancel may block for long.
struct session::cancel_request
{
    std::shared_ptr<one_shot> finished = std::make_shared<one_shot>();
};

// What one round trip consists of, and how far its answers have come.
struct session::exchange
{
    boost::container::small_vector<piece, 8> pieces;
    std::size_t at = 0;
    struct preparation
    {
        std::string_view sql;
        const params* args;
        std::string name;
    };
    boost::container::small_vector<preparation, 2> prepares;
    std::size_t prepared = 0; // so many of them are confirmed
    std::size_t deallocated = 0;
    result_ptr error;

    bool done() const noexcept { return at == pieces.size(); }
};

// From sending to the last answer. Left any other way, the session is interrupted, and the server told to
// stop. Used as a local of a coroutine, so that it also ends when the coroutine is destroyed.
class session::operation
{
public:
    operation(session& s, time_point deadline, bool timed)
        : session_(s)
    {
        session_.busy_ = true;
        session_.wire_->begin(deadline, timed);
    }
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;

    ~operation()
    {
        if (finished_) return;
        in_time();
        session_.interrupted_ = true;
        if (!session_.broken() && !session_.cancelling_) session_.cancel();
    }

    // All answers are there. False when the connection was cut meanwhile because the deadline had passed.
    bool finish() noexcept
    {
        finished_ = true;
        return in_time();
    }

private:
    bool in_time() noexcept
    {
        session_.busy_ = false;
        if (session_.wire_->end()) return true;
        session_.broken_ = true;
        return false;
    }

    session& session_;
    bool finished_ = false;
};

session::session(std::shared_ptr<const connection_options> options, std::string label,
                 std::unique_ptr<wire> w)
    : options_(std::move(options))
    , label_(std::move(label))
    , wire_(std::move(w))
    , canceller_(PQgetCancel(wire_->get()), &PQfreeCancel)
    , statements_(options_->statement_cache_size)
{
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

session::~session() = default;

asio::awaitable<std::unique_ptr<session>> session::connect(std::shared_ptr<const connection_options> options,
                                                           std::string label, time_point deadline)
{
    auto begun = clock::now();
    auto* observer = options->observer;
    std::unique_ptr<wire> made;
    std::exception_ptr failure;
    try {
        made = co_await connect_wire(*options, deadline);
    } catch (const error&) {
        failure = std::current_exception();
    }
    if (observer) {
        const char* host = made ? PQhost(made->get()) : nullptr;
        observer->on_connect({label, host ? host : "", clock::now() - begun, failure});
    }
    if (failure) std::rethrow_exception(failure);
    co_return std::unique_ptr<session>(new session(std::move(options), std::move(label), std::move(made)));
}

session::time_point session::response_deadline() const noexcept
{
    if (options_->statement_timeout.count() == 0) return time_point::max();
    return coarse_now() + options_->statement_timeout + options_->response_grace;
}

void session::cancel()
{
    // Few threads, because each may block for long; never joined, because the process must be able to end.
    static auto& helpers = *new asio::thread_pool(4);
    cancelling_ = std::make_shared<cancel_request>();
    asio::post(helpers, [request = cancelling_, canceller = canceller_] {
        if (request.use_count() > 1) { // else the session is gone, and with it what was to be cancelled
            std::array<char, 256> why{};
            PQcancel(canceller.get(), why.data(), why.size());
        }
        request->finished->tell();
    });
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
    throw_result_error(result, wire_->get(), sql);
}

void session::fail_overdue(std::string_view sql)
{
    throw connection_error(
        connection_failure::timeout,
        "no answer from the server (" + describe_peer(wire_->get()) +
            ") within the time given, so the connection was given up. A statement's time is "
            "statement_timeout " +
            std::to_string(options_->statement_timeout.count()) + " ms + response_grace " +
            std::to_string(options_->response_grace.count()) +
            " ms: raise response_grace where SET raises statement_timeout",
        {}, sql);
}

void session::need(int sent, std::string_view sql)
{
    if (!sent) fail(nullptr, sql);
}

void session::send_known(std::string_view sql, const params& args, const std::string& name)
{
    bound_params bound(args);
    need(PQsendQueryPrepared(wire_->get(), name.c_str(), bound.count(), bound.values.data(),
                             bound.lengths.data(), bound.formats.data(), binary),
         sql);
}

// With no parameters too: the simple protocol would answer in text.
void session::send_unprepared(std::string_view sql, const params& args)
{
    bound_params bound(args);
    need(PQsendQueryParams(wire_->get(), std::string(sql).c_str(), bound.count(), bound.types.data(),
                           bound.values.data(), bound.lengths.data(), bound.formats.data(), binary),
         sql);
}

// In a pipeline: with its preparation, where it is new.
void session::send_statement(std::string_view sql, const params& args, piece as, exchange& x)
{
    if (!statements_.enabled()) {
        send_unprepared(sql, args);
    } else if (auto* known = statements_.find(sql, args)) {
        send_known(sql, args, known->name);
    } else {
        auto name = statements_.new_name();
        preparing_.push_back(name);
        x.prepares.push_back({sql, &args, name});
        bound_params bound(args);
        need(PQsendPrepare(wire_->get(), name.c_str(), std::string(sql).c_str(), bound.count(),
                           bound.types.data()),
             sql);
        x.pieces.push_back(piece::prepare);
        send_known(sql, args, name);
    }
    x.pieces.push_back(as);
}

void session::send(const request& r, exchange& x)
{
    auto& args = r.args ? *r.args : no_params;
    if (r.before.empty() && r.after.empty()) { // the hot path: one statement that needs nothing else
        auto* known = statements_.enabled() ? statements_.find(r.sql, args) : nullptr;
        if (known || !statements_.enabled()) {
            x.pieces.push_back(piece::main);
            return known ? send_known(r.sql, args, known->name) : send_unprepared(r.sql, args);
        }
    }

    need(PQenterPipelineMode(wire_->get()), r.sql);
    auto sync = [&] {
        need(PQpipelineSync(wire_->get()), r.sql);
        x.pieces.push_back(piece::sync);
        ++syncs_due_;
    };
    for (auto& sql : r.before) {
        send_unprepared(sql, no_params);
        x.pieces.push_back(piece::before);
    }
    send_statement(r.sql, args, piece::main, x);
    if (!r.after.empty()) send_statement(r.after, no_params, piece::after, x);
    sync();
    if (!x.prepares.empty() && !statements_.unwanted().empty()) {
        // Behind a Sync of their own: if they fail, in a failed transaction, the statement does not.
        for (auto& name : statements_.unwanted()) {
            send_unprepared("deallocate " + name, no_params);
            x.pieces.push_back(piece::deallocate);
        }
        sync();
    }
}

asio::awaitable<reply> session::run(request r)
{
    if (busy_)
        throw std::logic_error("pgcoro: an operation is already under way on this connection; one at a time");
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (interrupted_ || cancelling_) co_await recover(response_deadline(), false);
    if (broken())
        throw connection_error(connection_failure::lost,
                               "the connection was lost before this statement (" +
                                   describe_peer(wire_->get()) + "): get another one",
                               {}, r.sql);

    auto& args = r.args ? *r.args : no_params;
    auto* observer = options_->observer;
    for (bool again = false;; again = true) {
        auto begun = observer ? clock::now() : time_point();
        bool idle = PQtransactionStatus(wire_->get()) == PQTRANS_IDLE && r.before.empty();
        reply got;
        exchange x;
        operation op(*this, std::min(response_deadline(), r.deadline), !watched_);
        send(r, x);
        wire_->flush();
        while (!x.done()) {
            while (wire_->busy()) {
                if (!wire_->only_reads()) {
                    co_await wire_->step();
                    continue;
                }
                auto [ec] = co_await wire_->readable();
                if (ec) throw boost::system::system_error(ec);
                wire_->consume();
            }
            result_ptr answer(PQgetResult(wire_->get()));
            auto current = x.pieces[x.at];
            if (!answer) { // a statement's end; or, of a broken connection, the end of all
                if (wire_->broken()) break;
                ++x.at;
                continue;
            }
            switch (PQresultStatus(answer.get())) {
            case PGRES_PIPELINE_SYNC:
                --syncs_due_;
                x.at =
                    static_cast<std::size_t>(std::find(x.pieces.begin() + static_cast<std::ptrdiff_t>(x.at),
                                                       x.pieces.end(), piece::sync) -
                                             x.pieces.begin() + 1);
                break;
            case PGRES_PIPELINE_ABORTED:
                break;
            case PGRES_COPY_IN:
            case PGRES_COPY_OUT:
            case PGRES_COPY_BOTH:
                broken_ = true; // in a pipeline there is no way out of COPY
                throw std::logic_error("pgcoro: COPY … FROM STDIN or TO STDOUT does not go through query or "
                                       "execute; the connection is given up");
            case PGRES_FATAL_ERROR:
            case PGRES_BAD_RESPONSE:
            case PGRES_NONFATAL_ERROR:
                if (current == piece::deallocate) { // somebody else's DISCARD ALL came before it
                    if (code_of(answer.get()) == sqlstates::invalid_sql_statement_name) ++x.deallocated;
                } else if (!x.error) {
                    x.error = std::move(answer);
                }
                break;
            default:
                switch (current) {
                case piece::main:
                    got.main = std::move(answer);
                    break;
                case piece::after:
                    got.after = std::move(answer);
                    break;
                case piece::prepare: {
                    auto& p = x.prepares[x.prepared++];
                    statements_.add(p.sql, *p.args, std::move(p.name));
                    break;
                }
                case piece::deallocate:
                    ++x.deallocated;
                    break;
                default:
                    break;
                }
            }
            if (wire_->broken() || (x.error && is_fatal(x.error.get()))) break;
        }
        bool in_time = op.finish();
        preparing_.clear(); // if it was not prepared, there was an error
        if (!x.done() || wire_->broken()) broken_ = true;
        if (!broken_ && PQpipelineStatus(wire_->get()) != PQ_PIPELINE_OFF) PQexitPipelineMode(wire_->get());
        auto& unwanted = statements_.unwanted();
        unwanted.erase(unwanted.begin(), unwanted.begin() + static_cast<std::ptrdiff_t>(x.deallocated));
        if (observer) report(r, got, x.error.get(), begun, !x.prepares.empty());
        if (!in_time) fail_overdue(r.sql);
        if (!x.error && !broken_) co_return got;

        if (x.error && !broken_ && statements_.enabled()) {
            auto code = code_of(x.error.get());
            auto* routine = PQresultErrorField(x.error.get(), PG_DIAG_SOURCE_FUNCTION);
            // "cached plan must not change result type": told by the routine, because the message is
            // translated.
            bool stale = code == sqlstates::feature_not_supported && routine &&
                         std::string_view(routine) == "RevalidateCachedQuery";
            bool gone = code == sqlstates::invalid_sql_statement_name;
            if (stale || gone) {
                statements_.erase(r.sql, args, stale);
                if (idle && !again) continue; // prepared anew, once; in a transaction it is too late
            }
        }
        fail(x.error.get(), r.sql);
    }
}

// By the simple protocol: ROLLBACK, COMMIT, or nothing at all. Within an operation.
asio::awaitable<std::string> session::run_simple(const char* sql)
{
    if (!PQsendQuery(wire_->get(), sql)) fail(nullptr, sql);
    wire_->flush();
    result_ptr error;
    std::string tag;
    for (;;) {
        auto answer = co_await wire_->next_result();
        if (!answer) break;
        if (PQresultStatus(answer.get()) == PGRES_FATAL_ERROR)
            error = std::move(answer);
        else
            tag = PQcmdStatus(answer.get());
        if (wire_->broken()) break;
    }
    if (error || wire_->broken()) fail(error.get(), sql);
    co_return tag;
}

asio::awaitable<std::string> session::command(const char* sql)
{
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (interrupted_ || cancelling_) co_await recover(response_deadline(), false);
    if (broken()) fail(nullptr, sql);
    operation op(*this, response_deadline(), !watched_);
    auto tag = co_await run_simple(sql);
    if (!op.finish()) fail_overdue(sql);
    co_return tag;
}

// Reads to the end of whatever was under way.
asio::awaitable<void> session::drain()
{
    auto* conn = wire_->get();
    wire_->flush();
    for (;;) {
        auto answer = co_await wire_->next_result();
        if (wire_->broken()) fail(answer.get(), {});
        if (!answer) {
            if (PQpipelineStatus(conn) == PQ_PIPELINE_OFF || syncs_due_ == 0) break;
            continue;
        }
        switch (PQresultStatus(answer.get())) {
        case PGRES_PIPELINE_SYNC:
            --syncs_due_;
            break;
        case PGRES_COPY_IN:
        case PGRES_COPY_BOTH:
            PQputCopyEnd(conn, "given up by the client");
            wire_->flush();
            break;
        case PGRES_COPY_OUT:
            for (;;) {
                char* bytes = nullptr;
                auto n = PQgetCopyData(conn, &bytes, 1);
                PQfreemem(bytes);
                if (n < 0) break;
                if (n == 0) co_await wire_->step();
            }
            break;
        default:
            break;
        }
    }
    if (PQpipelineStatus(conn) != PQ_PIPELINE_OFF && !PQexitPipelineMode(conn)) fail(nullptr, {});
}

asio::awaitable<void> session::recover(time_point deadline, bool rollback)
{
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (cancelling_) {
        // A cancel that is still on its way when the session is used again would hit the wrong statement.
        auto why = co_await cancelling_->finished->async_wait(deadline, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
        if (why == wake::expired) {
            broken_ = true;
            throw connection_error(
                connection_failure::timeout,
                "the server (" + describe_peer(wire_->get()) +
                    ") did not take a cancel request in time, so the connection was given up");
        }
        cancelling_.reset();
    }
    if (broken()) fail(nullptr, {});
    operation op(*this, deadline, !watched_);
    if (interrupted_) co_await drain();
    interrupted_ = false;
    for (auto& name : preparing_) statements_.unwanted().push_back(std::move(name));
    preparing_.clear();
    if (rollback && in_transaction()) co_await run_simple("rollback");
    if (!op.finish()) fail_overdue({});
}

asio::awaitable<void> session::ping(time_point deadline)
{
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (interrupted_ || cancelling_) co_await recover(deadline, false);
    if (broken()) fail(nullptr, {});
    operation op(*this, deadline, !watched_);
    co_await run_simple("");
    if (!op.finish()) fail_overdue({});
}

void session::report(const request& r, const reply& got, const PGresult* error, time_point begun,
                     bool prepared) const
{
    query_event event;
    event.pool = label_;
    event.sql = r.sql;
    event.duration = clock::now() - begun;
    auto code = error ? code_of(error) : sqlstate();
    if (!error || code) event.sqlstate = code.str();
    if (got.main) {
        event.rows = static_cast<std::uint64_t>(PQntuples(got.main.get()));
        if (event.rows == 0) event.rows = std::strtoull(PQcmdTuples(got.main.get()), nullptr, 10);
    }
    event.prepared_now = prepared;
    options_->observer->on_query(event);
}

} // namespace pgcoro::detail
