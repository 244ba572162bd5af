// How a session works. Only this room includes it: statements, batches, streams, COPY and scripts are written on it.
#pragma once

#include "connection/copy_watch.hpp"
#include "connection/round_trip.hpp"
#include "connection/session.hpp"
#include "connection/session_effects.hpp"
#include "connection/statement_cache.hpp"
#include "connection/stop_requests.hpp"
#include "connection/wire.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// Told of the answers of a round trip, in their order. What it throws ends the round trip as a cancellation does.
class reply_handler
{
public:
    // Further statements are to be sent now. False when there are none.
    virtual bool queue() { return false; }
    // The statement's result, or a part of its rows; of a script, one statement's.
    virtual void answered(result_ptr) {}
    // The text behind the statement; null for NULL.
    virtual void trailer(result_ptr) {}
    // COMMIT was answered.
    virtual void committed(bool /*rolled_back*/) {}
    // A request failed. `is_known`: it ran a statement that was prepared in an earlier round trip.
    virtual void failed(round_trip::event what, result_ptr error, bool is_known) = 0;
    // The statement was not run, because one in front of it had failed.
    virtual void skipped() {}
    virtual void statement_ended() {}
    virtual void synced() {}
    // A COPY began that nobody had asked for. It is ended: rows that come are thrown away, and rows that are wanted fail it.
    virtual void copy_misused() {}
    // One that was asked for.
    virtual void copy_began() {}
    // The next row of COPY … TO STDOUT.
    virtual void copied(pq_ptr<char>, std::size_t) {}

    // Rows of a statement are handed on as they come, this many together where libpq can; 0: all in one result.
    std::size_t chunk = 0;
    // Set by one of the above: the caller has what it waits for, and the round trip goes on later.
    bool pause = false;

protected:
    ~reply_handler() = default;
};

// Something that holds a session over several calls of its user.
class session_holder
{
public:
    // Lets go, whatever state that leaves the session in.
    virtual void abandon() noexcept = 0;

protected:
    ~session_holder() = default;
};

// By what handles that their user may keep for too long know a session: null once it is not theirs any more.
struct tenure
{
    std::atomic<session*> holder;
};

// What the observer is told of a statement that ended.
struct run_report
{
    std::string_view sql;
    const PGresult* error = nullptr;
    steady_time begun;
    std::uint64_t rows = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    bool prepared_now = false;
    std::uint32_t repeats = 1;
};

// When the answers of a round trip are due.
struct time_limit
{
    steady_time deadline = steady_time::max(); // whatever happens
    bool of_statement = true;                  // and the statement_timeout, with the grace of the network
    bool renewed = false; // which counts anew when an answer comes: several statements, or one whose reader is slow
};

class operation;

class session_impl
{
public:
    using request_kind = round_trip::request;

    session_impl(std::shared_ptr<const connection_options> with, std::string name, std::unique_ptr<wire> w);
    session_impl(const session_impl&) = delete;
    session_impl& operator=(const session_impl&) = delete;

    PGconn* pg() const noexcept { return socket->get(); }
    bool is_broken() const noexcept { return broken || socket->broken(); }
    bool is_ready() const noexcept { return !interrupted && stops.pending() == nullptr; }
    bool is_idle() const noexcept { return PQtransactionStatus(pg()) == PQTRANS_IDLE; }
    std::string peer() const;

    // --- Before a statement

    // Throws std::logic_error when an operation is under way.
    void check_idle() const;
    // Waits happen on the caller's executor; what is left of the operation before is cleared away.
    asio::awaitable<void> make_ready(std::string_view sql);
    // Refuses, before anything is sent, a text that the server would not take, or that this pooler must not get.
    void check(std::string_view sql, std::size_t parameters);

    // --- Sending. In the order in which answers come.

    // Begins a round trip, pipelined or with one request only.
    void begin(bool pipelined);
    // One statement and what goes with it. `known`: as it is prepared, if it is.
    void send(const request& r, const statement_cache::statement* known, bool pipelined = false);
    void send_before(const prologue& with);
    void send_behind(const prologue& with);
    void send_statement(std::string_view sql, const params& args, request_kind as);
    void send_unprepared(std::string_view sql, const params& args, request_kind as);
    // By the simple protocol.
    void send_script(const std::string& text);
    void send_sync();
    // First in a round trip, if this statement is new: makes room for it in the cache, and closes what the cache gave up,
    // as far as that cannot fail in anybody's transaction.
    void send_closes(std::string_view sql, const params& args);
    // Throws if libpq could not take it.
    void need(int accepted, std::string_view sql);

    // --- Receiving

    // Does all that can be done without waiting.
    enum class wait : std::uint8_t { nothing, read, read_or_write };
    wait advance(reply_handler& h);
    // Until the round trip has ended, or its handler pauses it, or rows of a COPY are to be sent. False when the time was
    // over, and the connection was cut.
    asio::awaitable<bool> pump(reply_handler& h, time_limit limit);
    // The same without waiting, where what has arrived is enough; false where it is not.
    bool pumped(reply_handler& h) { return advance(h) == wait::nothing; }
    // All that was due came in, or never will.
    void end_trip();
    // The same for an operation that its user left: reads to the end of it, and repeats the request to stop.
    asio::awaitable<void> drain();
    // Asks the server to stop what it does for this session.
    void stop_at_server() noexcept;
    // An operation was left before its end: nothing more is sent for it, and the server is told to stop.
    void interrupt() noexcept;

    // --- What went wrong

    // The error that a result stands for; without one, that the connection is lost.
    [[noreturn]] void fail(const PGresult* error, std::string_view sql);
    [[noreturn]] void fail_overdue(std::string_view sql);
    steady_time answer_due(const time_limit& limit) const noexcept;
    // Was the error that the statement was prepared, and cannot be used as it is? Then it is forgotten, to be prepared
    // again. With `may_run_again`: the same text may now be run once more, for it has done nothing.
    bool forget_stale_statement(const PGresult* error, bool is_known, std::string_view sql);
    void forget_companions(const PGresult* error, const prologue& with);

    // --- The operations

    asio::awaitable<result> run_plain(request r);
    asio::awaitable<result> run_traced(request r);
    asio::awaitable<void> run_simple(operation& op, std::string_view sql, time_limit limit, std::string* tag = nullptr);
    asio::awaitable<void> command_plain(std::string_view sql, time_limit limit, std::string& tag);
    asio::awaitable<void> command_traced(std::string_view sql, time_limit limit, std::string& tag);
    asio::awaitable<result_ptr> run_each(const std::vector<session_effects::remembered>& statements, time_limit limit);
    asio::awaitable<void> ping(steady_time deadline);
    asio::awaitable<std::uint64_t> run_script(statement_host& host, std::string sql);
    asio::awaitable<std::optional<notification>> next_notification(std::chrono::milliseconds limit);
    asio::awaitable<void> recover(steady_time deadline, bool rollback);
    asio::awaitable<void> undo(steady_time deadline, bool all);

    // --- Observers

    void report(const run_report& r);
    std::uint32_t count_repeats(const void* known) noexcept;
    void place(open_span& s) const;
    open_span_ptr span(span_of of, std::string_view sql) const;
    // The text with the context in a comment; empty where none is to be sent.
    std::string comment(std::string_view sql, const open_span* under) const;

    void end_holder() noexcept
    {
        if (holder) holder->abandon();
    }

    const std::shared_ptr<const connection_options> options;
    const std::string label;
    const std::unique_ptr<wire> socket;
    const int backend_pid;
    stop_requests stops;
    statement_cache statements;
    session_effects effects;

    round_trip trip;
    std::vector<statement_cache::statement> preparing; // in the round trip, in the order of their answers
    std::size_t prepared = 0;                          // how many of them are answered
    std::vector<std::string> closing;
    std::size_t closed = 0;

    std::uint64_t sent = 0;
    session_holder* holder = nullptr;
    std::shared_ptr<detail::tenure> token;
    std::string settings_of_transaction;
    std::string timeline;
    copy_watch copy_bytes;
    std::optional<diagnostics> last_words; // of the server, when it ended the session while nothing was asked of it
    bool interrupted = false;              // an operation ended before its answer was read
    bool broken = false;
    bool watched = false; // by somebody who looks for deadlines that have passed: no timer is needed here

    trace_context parent; // of its user, where traced
    bool traced = false;
    std::string_view operation_name;
    std::chrono::nanoseconds waited{};
    const void* last_known = nullptr; // which statement ran last, and how often in a row; for the observer
    std::uint32_t repeats = 0;
    steady_time sent_at; // for the observer: when the socket had taken the request, and when the answer began
    steady_time answered_at;

private:
    void take(reply_handler& h);
    void take_copied(reply_handler& h);
    void refuse_copy();
    void set_row_mode(std::size_t chunk);
    const statement_cache::statement* find_coming(std::string_view sql, const params& args) const;
    const statement_cache::statement* prepare(std::string_view sql, const params& args, bool always);
    void send_description(std::string_view sql, const params& types);
    void send_preparation(std::string_view sql, const params& args, const std::string& name);
    void end_requests();
    void was_closed(bool gone);
};

// Drives a round trip: the only way in which a session waits for its server. Whoever drives it waits as it is told:
//
//     pumping p(session, handler, limit);
//     while (p.waits()) {
//         if (p.only_reads()) {
//             auto [ec] = co_await session.socket->readable();
//             p.read(ec);
//         } else {
//             co_await session.socket->step();
//             p.stepped();
//         }
//     }
//     bool in_time = p.end();
//
// That is session_impl::pump(). Single statements do it by themselves, because one more coroutine costs them 900
// instructions of 11,000. However it is left, no time counts any more.
class pumping
{
public:
    // `just_sent`: no answer can have arrived yet, and nothing is to be sent but what libpq holds.
    enum class start : bool { look_first, just_sent };

    pumping(session_impl& s, reply_handler& h, time_limit limit, start with = start::look_first);
    pumping(const pumping&) = delete;
    pumping& operator=(const pumping&) = delete;

    bool waits() const noexcept { return next_ != wait::nothing; }
    bool only_reads() const noexcept { return next_ == wait::read && session_.socket->only_reads(); }
    void read(boost::system::error_code ec);
    void stepped();
    bool end() noexcept;

private:
    using wait = session_impl::wait;

    void go_on();

    session_impl& session_;
    reply_handler& handler_;
    time_limit limit_;
    wait next_;
    std::optional<wire::bounded_wait> waiting_;
    steady_time begun_;
};

} // namespace pgcoro::detail
