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
    // An error of the server's with which it goes on, even if the connection broke behind it: more answers may have arrived
    // before that.
    return is_fatal(got) || (broken && !code_of(got)) ? round_trip::reply::fatal : round_trip::reply::failed;
}

// Answers that nobody waits for.
class nobody final : public reply_handler
{
public:
    void failed(round_trip::event, result_ptr, bool) override { pause = true; }
    void answered(result_ptr) override { pause = true; }
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

void session_impl::take(reply_handler& h)
{
    result_ptr got(PQgetResult(pg()));
    auto said = reply_of(got.get(), socket->broken());
    bool is_known = trip.is_of_known_statement();
    auto what = trip.on(said);
    bool is_error = said == round_trip::reply::failed || said == round_trip::reply::fatal;
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
        statements.add(std::move(preparing[prepared++]));
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
    while (!h.pause) {
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

asio::awaitable<bool> session_impl::pump(reply_handler& h, time_limit limit)
{
    auto next = advance(h);
    if (next == wait::nothing) co_return true;
    auto& w = *socket;
    auto executor = co_await asio::this_coro::executor;
    w.bind(executor);
    constexpr std::chrono::milliseconds often_enough{500}; // renewing it costs a timer
    auto begun = coarse_now();
    wire::bounded_wait waiting(w, answer_due(limit), !watched);
    bool timed = options->observer != nullptr;
    do {
        if (next == wait::read && w.only_reads()) {
            auto [ec] = co_await w.readable();
            if (ec) throw boost::system::system_error(ec);
            w.consume();
        } else {
            co_await w.step();
            if (timed && next == wait::read_or_write) sent_at = clock::now();
        }
        if (timed && next == wait::read && answered_at == steady_time()) answered_at = clock::now();
        trip.bytes_arrived();
        if (limit.renewed && !w.broken() && coarse_now() - begun >= often_enough) {
            begun = coarse_now();
            waiting.renew(answer_due(limit));
        }
        next = advance(h);
    } while (next != wait::nothing);
    if (waiting.end()) co_return true;
    broken = true;
    // It may still go on at the server, and hold its locks: who works there does not see that the client left.
    stops.request();
    co_return false;
}

void session_impl::end_trip()
{
    if (trip.lost() || socket->broken()) broken = true;
    if (!broken && trip.is_answered() && PQpipelineStatus(pg()) != PQ_PIPELINE_OFF) broken = !PQexitPipelineMode(pg());
}

// What was sent without a sync, or opened as a COPY, keeps its locks until the server is told the end of it.
void session_impl::end_requests()
{
    if (trip.owes_sync()) {
        // Statements without their sync must not take effect now. An error before it sees to that: of syntax, because
        // PgBouncer 1.21 and later hangs up on a prepared statement it does not know.
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
        stops.request();
    } catch (...) { // no memory, or the connection is lost
        broken = true;
    }
}

asio::awaitable<void> session_impl::drain()
{
    // A request to stop may have come before its statement, or ends only one of several: then it is repeated, without
    // delay when statements that were behind the stopped one are under way.
    constexpr std::chrono::milliseconds shortest{10};
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
