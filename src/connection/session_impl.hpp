// The implementation of a session, on which statements, batches, streams, COPY and scripts are built. Only this room
// includes it.
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

// Receives the answers of a round trip, in their order. An exception interrupts the round trip as a cancellation does.
class reply_handler
{
public:
    // Sends further statements. Returns false if there are none.
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
    // A COPY began that the caller had not asked for. The session ends it.
    virtual void copy_misused() {}
    // A COPY began that the caller had asked for.
    virtual void copy_began() {}
    // The next row of COPY … TO STDOUT.
    virtual void copied(pq_ptr<char>, std::size_t) {}

    // The number of rows per result in libpq's row mode, where libpq can combine rows.
    std::size_t chunk = 0;
    // A function above sets it when the caller has what it needs; the round trip continues later.
    bool pause = false;

protected:
    ~reply_handler() = default;
};

// An operation that holds a session across several calls of its user.
class session_holder
{
public:
    // Releases the session, whatever state it is in.
    virtual void abandon() noexcept = 0;

protected:
    ~session_holder() = default;
};

// Through this, handles that a user may keep too long refer to a session. Null once the session has another user, or none.
struct tenure
{
    std::atomic<session*> holder;
};

// The report to the observer about a completed statement.
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

// The time limit of a round trip's answers.
struct time_limit
{
    steady_time deadline = steady_time::max(); // never extended
    bool of_statement = true;                  // statement_timeout + response_grace also apply
    bool renewed = false; // these start again with each answer: for several statements, or a slow reader
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
    // The server reports each change of client_encoding, whoever made it.
    bool speaks_utf8() const noexcept
    {
        static const int utf8 = pg_char_to_encoding("UTF8");
        return PQclientEncoding(pg()) == utf8;
    }
    std::string peer() const;

    // --- Before a statement

    // Throws std::logic_error if an operation is in progress.
    void check_idle() const;
    // Binds the session to the caller's executor, and recovers from an interrupted operation.
    asio::awaitable<void> make_ready(std::string_view sql);
    // Returns the prepared statement; null if the server would parse the text differently now, or has not prepared it.
    const statement_cache::statement* find_prepared(std::string_view sql, const params& args);
    // Throws before anything is sent if the server would refuse the text, or if it would change a pooler's session.
    void check(std::string_view sql, std::size_t parameters);

    // --- Sending, in the order of the answers

    // Begins a round trip: pipelined, or with one request only.
    void begin(bool pipelined);
    // Sends one statement and its companions. `known` is the prepared statement; null if it is not prepared.
    void send(const request& r, const statement_cache::statement* known, bool pipelined = false);
    void send_before(const prologue& with);
    void send_companion(const companion& c);
    void send_behind(const prologue& with);
    void send_statement(std::string_view sql, const params& args, request_kind as);
    void send_unprepared(std::string_view sql, const params& args, request_kind as);
    void send_setup(std::string_view sql, const params& args);
    // Sends a text by the simple protocol; `own` is the part of it that the user wrote.
    void send_script(const std::string& text, std::string_view own);
    void send_sync(request_kind as = request_kind::sync);
    // Called first in a round trip. If this statement is new, makes room for it in the cache, and closes the statements that
    // the cache evicted, unless that could fail in a user's transaction.
    void send_closes(std::string_view sql, const params& args);
    // Throws connection_error if libpq did not accept a request.
    void need(int accepted, std::string_view sql);

    // --- Receiving

    // Does everything that needs no waiting.
    enum class wait : std::uint8_t { nothing, read, read_or_write };
    wait advance(reply_handler& h);
    // Waits until the round trip ends, the handler pauses it, or a COPY needs rows. Returns false if the time limit passed
    // and the connection was cut.
    asio::awaitable<bool> pump(reply_handler& h, time_limit limit);
    // The same without waiting. Returns false if it would have to wait.
    bool pumped(reply_handler& h) { return advance(h) == wait::nothing; }
    // Called when all answers are there, or none will come.
    void end_trip();
    // Reads the remaining answers of an interrupted operation, and repeats the cancel request.
    asio::awaitable<void> drain();
    // Sends a cancel request, unless one is in progress.
    void stop_at_server() noexcept;
    // Called when an operation is left before its end. Ends open requests and sends a cancel request.
    void interrupt() noexcept;

    // --- What went wrong

    // A stream or COPY is left before its end. The transaction around it fails with that, unless its statement was over.
    void note_left(std::string_view sql) noexcept;
    // Adds to a refusal in a failed transaction which stream or COPY was left there.
    void explain_refusal(error& e) const;
    // Throws the error of a result; without a result, that the connection is lost.
    [[noreturn]] void fail(const PGresult* error, std::string_view sql);
    [[noreturn]] void fail_overdue(std::string_view sql);
    steady_time answer_due(const time_limit& limit) const noexcept;
    // Removes a statement from the cache if the error says that its preparation is out of date. Returns true if the
    // statement has had no effect, so that it may be prepared and run again.
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

    // --- Its context; see session

    // The settings whose values the server reports by itself.
    std::string reported_settings() const;
    std::optional<std::string> context_key() const;
    // See session_context::parse_settings().
    std::string parse_settings(const session_context& of) const;
    asio::awaitable<void> learn_context();

    // --- Observers

    void report(const run_report& r);
    std::uint32_t count_repeats(const void* known) noexcept;
    void place(open_span& s) const;
    open_span_ptr span(span_of of, std::string_view sql) const;
    // Returns the text with the trace context in a comment; empty if the options do not ask for it.
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
    // Its settings after the login.
    struct
    {
        std::string reported;
        std::string fingerprint; // by the server, and by the startup packet; empty if it is not known
        bool asked = false;
    } defaults;

    round_trip trip;
    std::vector<statement_cache::statement> preparing; // in this round trip, in the order of their answers
    std::size_t prepared = 0;                          // the number of them that are answered
    std::vector<std::string> closing;
    std::size_t closed = 0;

    std::uint64_t sent = 0;
    session_holder* holder = nullptr;
    std::shared_ptr<detail::tenure> token;
    std::string settings_of_transaction;
    server_knowledge server;
    bool unreplicated = false; // see session::take_unreplicated()
    copy_watch copy_bytes;
    std::optional<diagnostics> last_words; // the server's FATAL error while the session was idle
    bool interrupted = false;              // an operation was left before its answers were read
    std::string left_early; // the statement of a stream or COPY whose early end made the transaction fail; else empty
    bool broken = false;
    std::optional<credential_schedule::window> retirement;
    bool watched = false; // the pool cuts it at its deadlines: it needs no timer of its own

    trace_context parent; // the user's, if traced
    bool traced = false;
    pgcoro::operation_name operation_name;
    std::chrono::nanoseconds waited{};
    const void* last_known = nullptr; // the last statement and its consecutive runs, for the observer
    std::uint32_t repeats = 0;
    steady_time sent_at; // for the observer: when the request was sent completely, and when its answer began
    steady_time answered_at;

private:
    void take(reply_handler& h);
    void take_copied(reply_handler& h);
    void refuse_copy();
    void set_row_mode(std::size_t chunk);
    bool may_prepare(std::string_view sql) const;
    const statement_cache::statement* find_coming(std::string_view sql, const params& args) const;
    const statement_cache::statement* prepare(std::string_view sql, const params& args, bool always);
    void send_description(std::string_view sql, const params& types);
    void send_preparation(std::string_view sql, const params& args, const std::string& name);
    void keep_prepared(statement_cache::statement made);
    void end_requests();
    void was_closed(bool gone);
};

// Drives a round trip. This is the only way in which a session waits for its server. A caller waits as follows:
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
// session_impl::pump() does that. Single statements contain this loop themselves, because one more coroutine would cost
// them 900 of 11,000 instructions. The destructor ends the time limit.
class pumping
{
public:
    // `just_sent`: no answer can have arrived, and all requests were handed to libpq.
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
