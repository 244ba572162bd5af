// How the answers of a round trip are received: the one place where a session waits for its server.
#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
#include "connection/session_impl.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>

namespace pgcoro::detail
{
namespace
{

constexpr auto not_wanted = "no data comes by this way: use copy_in";

round_trip::reply reply_of(const PGresult* got, bool broken)
{
    if (!got) return broken ? round_trip::reply::lost : round_trip::reply::end;
    switch (PQresultStatus(got)) {
    case PGRES_SINGLE_TUPLE:
#ifdef LIBPQ_HAS_CHUNK_MODE
    case PGRES_TUPLES_CHUNK:
#endif
        return round_trip::reply::rows;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        return round_trip::reply::done;
    case PGRES_PIPELINE_SYNC:
        return round_trip::reply::synced;
    case PGRES_PIPELINE_ABORTED:
        return round_trip::reply::skipped;
    case PGRES_COPY_IN:
        return round_trip::reply::copy_in;
    case PGRES_COPY_OUT:
        return round_trip::reply::copy_out;
    case PGRES_COPY_BOTH:
        return round_trip::reply::lost; // of replication only
    case PGRES_FATAL_ERROR:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
        break;
    }
    // The server goes on after this error, even if the connection broke later: more answers may have arrived before that.
    return is_fatal(got) || (broken && !code_of(got)) ? round_trip::reply::fatal : round_trip::reply::failed;
}

// Discards all answers. Pauses when the server has stopped a statement.
class nobody final : public reply_handler
{
public:
    void failed(round_trip::event, result_ptr error, bool) override
    {
        if (code_of(error.get()) == sqlstates::query_canceled) pause = true;
    }
};

} // namespace

void session_impl::set_row_mode(std::size_t chunk)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
    need(PQsetChunkedRowsMode(pg(), static_cast<int>(std::max<std::size_t>(chunk, 1))), {});
#else
    static_cast<void>(chunk);
    need(PQsetSingleRowMode(pg()), {});
#endif
    trip.row_mode_set();
}

void session_impl::was_closed(bool gone)
{
    auto& name = closing[closed++];
    if (gone) statements.closed(name);
}

// The answers up to here tell which settings it was parsed with. They are others than expected if a change of theirs failed.
void session_impl::keep_prepared(statement_cache::statement made)
{
    if (made.settings == parse_settings(effects.context()))
        statements.add(std::move(made));
    else
        statements.refuse(made);
}

void session_impl::take(reply_handler& h)
{
    result_ptr got(PQgetResult(pg()));
    auto said = reply_of(got.get(), socket->broken());
    bool is_known = trip.is_of_known_statement();
    auto request = trip.position();
    auto what = trip.on(said);
    bool is_error = said == round_trip::reply::failed || said == round_trip::reply::fatal;
    if (said == round_trip::reply::done) effects.succeeded(request);
    if (is_error) effects.failed(request);
    if (said == round_trip::reply::synced) effects.synced(PQtransactionStatus(pg()));
    switch (what) {
    case round_trip::event::nothing:
    case round_trip::event::ended:
        break;
    case round_trip::event::copy_in:
    case round_trip::event::copy_out:
        if (trip.is_unwanted_copy())
            h.copy_misused();
        else
            h.copy_began();
        break;
    case round_trip::event::rows:
        h.answered(std::move(got));
        break;
    case round_trip::event::answer:
        if (drops_statements(got.get())) statements.clear();
        h.answered(std::move(got));
        break;
    case round_trip::event::trailer:
        h.trailer(std::move(got));
        break;
    case round_trip::event::prepared:
        keep_prepared(std::move(preparing[prepared++]));
        break;
    case round_trip::event::not_prepared:
        ++prepared;
        if (is_error) h.failed(what, std::move(got), false);
        break;
    case round_trip::event::closed:
        was_closed(true);
        break;
    case round_trip::event::not_closed:
        was_closed(is_error && code_of(got.get()) == sqlstates::invalid_sql_statement_name);
        if (said == round_trip::reply::fatal) h.failed(what, std::move(got), false);
        break;
    case round_trip::event::committed:
        h.committed(std::string_view(PQcmdStatus(got.get())) == "ROLLBACK");
        break;
    case round_trip::event::error:
    case round_trip::event::commit_failed:
        h.failed(what, std::move(got), is_known);
        break;
    case round_trip::event::skipped:
        h.skipped();
        break;
    case round_trip::event::statement_end:
        h.statement_ended();
        break;
    case round_trip::event::synced:
        h.synced();
        break;
    case round_trip::event::misused_copy: // in a pipeline no way leads out of COPY
        h.copy_misused();
        break;
    }
}

void session_impl::take_copied(reply_handler& h)
{
    char* bytes = nullptr;
    auto n = PQgetCopyData(pg(), &bytes, 1);
    pq_ptr<char> row(bytes);
    if (n > 0) {
        if (!trip.is_unwanted_copy()) h.copied(std::move(row), static_cast<std::size_t>(n));
    } else if (n == 0) {
        trip.copy_is_dry();
    } else {
        trip.copy_out_ended();
    }
}

void session_impl::refuse_copy()
{
    PQputCopyEnd(pg(), not_wanted);
    trip.copy_in_ended();
    socket->flush();
}

session_impl::wait session_impl::advance(reply_handler& h)
{
    auto& w = *socket;
    h.pause = false;
    while (!h.pause && !trip.is_finished()) {
        if (trip.is_row_mode_due()) set_row_mode(h.chunk);
        switch (trip.next({w.flushing(), !w.answer_ready(), w.broken()})) {
        case round_trip::step::finished:
        case round_trip::step::callers_turn:
            return wait::nothing;
        case round_trip::step::queue:
            if (!h.queue()) trip.close_queue();
            w.flush();
            break;
        case round_trip::step::take:
            take(h);
            break;
        case round_trip::step::take_copied:
            take_copied(h);
            break;
        case round_trip::step::refuse_copy:
            refuse_copy();
            break;
        case round_trip::step::read:
            return wait::read;
        case round_trip::step::read_or_write:
            return wait::read_or_write;
        }
    }
    return wait::nothing;
}

steady_time session_impl::answer_due(const time_limit& limit) const noexcept
{
    if (!limit.of_statement || options->statement_timeout.count() == 0) return limit.deadline;
    auto due = time_after(coarse_now(), saturated<std::chrono::nanoseconds>(options->statement_timeout) +
                                            saturated<std::chrono::nanoseconds>(options->response_grace));
    return std::min(limit.deadline, due);
}

pumping::pumping(session_impl& s, reply_handler& h, time_limit limit, start with)
    : session_(s)
    , handler_(h)
    , limit_(limit)
    , next_(with == start::look_first     ? s.advance(h)
            : s.socket->flushing() ? wait::read_or_write
                                   : wait::read)
{
    if (next_ == wait::nothing) return;
    auto due = s.answer_due(limit);
    if (limit.renewed) begun_ = coarse_now();
    waiting_.emplace(*s.socket, due, !s.watched);
}

void pumping::read(boost::system::error_code ec)
{
    if (ec) throw boost::system::system_error(ec);
    session_.socket->consume();
    go_on();
}

void pumping::stepped()
{
    if (next_ == wait::read_or_write && session_.options->observer) session_.sent_at = clock::now();
    go_on();
}

void pumping::go_on()
{
    constexpr std::chrono::milliseconds often_enough{500}; // renewing it costs a timer
    auto& s = session_;
    if (s.options->observer && next_ == wait::read && s.answered_at == steady_time()) s.answered_at = clock::now();
    s.trip.bytes_arrived();
    if (limit_.renewed && !s.socket->broken() && coarse_now() - begun_ >= often_enough) {
        begun_ = coarse_now();
        waiting_->renew(s.answer_due(limit_));
    }
    next_ = s.advance(handler_);
}

bool pumping::end() noexcept
{
    if (!waiting_ || waiting_->end()) return true;
    session_.broken = true;
    // A server process that works does not notice that its client has left, and keeps its locks.
    session_.stop_at_server();
    return false;
}

asio::awaitable<bool> session_impl::pump(reply_handler& h, time_limit limit)
{
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    pumping p(*this, h, limit);
    while (p.waits()) {
        if (p.only_reads()) {
            auto [ec] = co_await socket->readable();
            p.read(ec);
        } else {
            co_await socket->step();
            p.stepped();
        }
    }
    co_return p.end();
}

void session_impl::stop_at_server() noexcept
{
    try {
        stops.request();
    } catch (...) { // no memory: the server's own limits end it
    }
}

void session_impl::end_trip()
{
    if (trip.lost() || socket->broken()) broken = true;
    if (!broken) effects.ready(PQtransactionStatus(pg()));
    effects.forget_expected();
    if (!left_early.empty() && PQtransactionStatus(pg()) != PQTRANS_INERROR) left_early.clear();
    if (!broken && trip.is_answered() && PQpipelineStatus(pg()) != PQ_PIPELINE_OFF) broken = !PQexitPipelineMode(pg());
}

// Ends what the server still waits for: a series without its sync, or an open COPY. Both keep their locks until then.
void session_impl::end_requests()
{
    if (trip.owes_sync()) {
        // The statements in front of the sync must not take effect. A syntax error ensures that; PgBouncer 1.21 and later
        // would close the connection for an unknown prepared statement.
        send_unprepared("pgcoro: a pipeline given up half-way", no_params, request_kind::statement);
        send_sync();
    } else if (trip.is_copying_in()) {
        refuse_copy();
    }
    socket->flush();
}

void session_impl::interrupt() noexcept
{
    interrupted = true;
    trip.abandon();
    if (trip.lost()) broken = true;
    if (is_broken()) return;
    try {
        end_requests();
    } catch (...) { // no memory, or the connection is lost
        broken = true;
    }
    stop_at_server();
}

asio::awaitable<void> session_impl::drain()
{
    // The server ignores a cancel request that arrives before its statement, so the request is repeated. Each request stops
    // one statement: if several are in transit, the next one needs another request soon.
    constexpr std::chrono::milliseconds shortest{2};
    constexpr std::chrono::milliseconds longest{1000};
    nobody discard;
    auto patience = shortest;
    for (;;) {
        auto next = advance(discard);
        if (discard.pause) {
            patience = shortest;
            continue;
        }
        if (next == wait::nothing) break;
        bool came = co_await socket->step_within(patience);
        trip.bytes_arrived();
        if (came) continue;
        stops.request();
        patience = std::min(patience * 2, longest);
    }
    end_trip();
    if (is_broken()) fail(nullptr, {});
    if (PQpipelineStatus(pg()) != PQ_PIPELINE_OFF) fail(nullptr, {});
}

} // namespace pgcoro::detail
