// The state of one round trip: the requests that were sent, the answers that are due, and the next step. It performs no
// I/O and knows neither libpq nor a clock: the session reports what was queued and what libpq returned, and asks for the
// next step.
#pragma once

#include <boost/container/small_vector.hpp>

#include <cstddef>
#include <cstdint>

namespace pgcoro::detail
{

class round_trip
{
public:
    // A request that the server answers.
    enum class request : std::uint8_t {
        setup,     // around a statement (BEGIN, set_config); its answer is ignored
        prepare,   // gives a statement a name
        close,     // takes a statement's name away
        statement, // the caller's
        trailer,   // behind the statement; returns one text, such as the transaction's id
        commit,
        sync,      // the end of a series of pipelined requests; commits them, or tells why not
        sync_in_transaction, // the same in a transaction block: what follows is run also after an error; commits nothing
        script,    // by the simple protocol: any number of answers, COPY among them
    };

    // The status of libpq's next result, or that libpq has no result.
    enum class reply : std::uint8_t {
        end,      // no further result: the end of a request's answers
        rows,     // a part of a statement's rows, further results follow
        done,     // the statement succeeded
        failed,   // with an error; the session goes on
        fatal,    // with an error that ends the session
        skipped,  // not run, because a request in front of it failed
        synced,   // the answer to a sync
        copy_in,  // the server wants rows
        copy_out, // the server sends rows
        lost,     // no result, and the connection is broken
    };

    // The session's next action.
    enum class step : std::uint8_t {
        finished,      // all answers are there, or the connection is lost: see lost()
        queue,         // send the next statements, or call close_queue()
        take,          // ask libpq for a result
        take_copied,   // ask libpq for a row of COPY … TO STDOUT
        refuse_copy,   // end a COPY … FROM STDIN by an error, because the caller has no rows for it
        callers_turn,  // COPY … FROM STDIN is open: rows, or its end, are the caller's to send
        read,          // wait until the socket is readable
        read_or_write, // wait until the socket is readable or writable
    };

    // The meaning of a reply.
    enum class event : std::uint8_t {
        nothing,
        rows,          // belongs to the statement
        answer,        // the statement's result
        trailer,       // the text of the request behind the statement
        prepared,      // the oldest unanswered preparation succeeded
        not_prepared,  // the oldest unanswered preparation failed or was skipped
        closed,        // the oldest unanswered close succeeded
        not_closed,    // the oldest unanswered close failed or was skipped
        committed,     // COMMIT succeeded; its tag may still say ROLLBACK
        error,         // the request failed
        commit_failed, // an error of the sync itself, which commits a series: a deferred constraint
        skipped,       // the statement was not run
        statement_end, // all answers of the statement are there
        synced,
        copy_in,
        copy_out,
        misused_copy,  // COPY in a pipeline, which libpq cannot end: the connection is lost
        ended,         // the connection is lost
    };

    // The state of libpq and the socket.
    struct io
    {
        bool flushing = false; // libpq holds bytes that the socket did not take
        bool busy = false;     // libpq has no result before more bytes come
        bool broken = false;   // nothing can be sent or received any more
    };

    // Starts a new round trip. If `pipelined`, syncs separate the requests; otherwise there is only one request.
    void begin(bool pipelined) noexcept;

    // Records a request that was handed to libpq. `is_known`: it runs a statement of an earlier round trip's preparation.
    void expect(request what, bool is_known = false);
    // Returns the number of the next request, counted from 0.
    std::size_t requests() const noexcept { return expected_.size(); }
    // Returns the number of the request whose reply is due.
    std::size_t position() const noexcept { return at_; }
    // Allows further requests while answers arrive, until close_queue().
    void open_queue() noexcept { queue_open_ = true; }
    void close_queue() noexcept { queue_open_ = false; }
    // Requests libpq's row mode for all statements of this round trip.
    void want_rows() noexcept
    {
        row_mode_wanted_ = true;
        await_row_mode();
    }
    // Declares that the script is a COPY whose rows the caller reads or writes.
    void expect_copy() noexcept { copy_expected_ = true; }

    // Returns true when next() would return `finished`, without asking libpq.
    bool is_finished() const noexcept
    {
        return lost_ || (at_ == expected_.size() && !queue_open_ && copying_ == copying::nothing);
    }
    // Returns true when libpq's row mode must be set now, for the statement whose answer is due. Call it before next() and
    // before PQisBusy(), which parses the answer.
    bool is_row_mode_due() const noexcept { return row_mode_due_; }
    void row_mode_set() noexcept { row_mode_due_ = false; }

    step next(io now) const noexcept;

    // Processes libpq's reply to `take`, and returns its meaning.
    event on(reply what);
    // Records that libpq returned no row of a COPY, because no complete row has arrived.
    void copy_is_dry() noexcept { copy_dry_ = true; }
    void bytes_arrived() noexcept { copy_dry_ = false; }
    // Records that COPY … TO STDOUT has sent its last row.
    void copy_out_ended() noexcept { copying_ = copying::nothing; }
    // Records that CopyDone or CopyFail was sent.
    void copy_in_ended() noexcept { copying_ = copying::nothing; }

    // Called when the caller leaves before the end: closes the queue and ends an open COPY. The answers remain due.
    void abandon() noexcept;

    // Returns true if requests were sent after the last sync: the server keeps their locks until it receives a sync.
    bool owes_sync() const noexcept { return unsynced_; }
    bool is_copying_in() const noexcept { return copying_ == copying::in; }
    bool is_copying_out() const noexcept { return copying_ == copying::out; }
    // Returns true if a COPY is open that the caller did not expect, or no longer wants: its rows are discarded, or it is
    // ended by an error.
    bool is_unwanted_copy() const noexcept { return copying_ != copying::nothing && (!copy_expected_ || abandoned_); }
    // Returns true if all answers are there and the queue is closed.
    bool is_answered() const noexcept { return !lost_ && is_finished(); }
    // Returns true if the connection was lost, or must be closed, before all answers were there.
    bool lost() const noexcept { return lost_; }
    bool is_pipelined() const noexcept { return pipelined_; }
    // Returns true if the request whose answer is due runs a statement that an earlier round trip prepared.
    bool is_of_known_statement() const noexcept { return at_ < expected_.size() && expected_[at_].is_known; }

private:
    struct expected
    {
        request what;
        bool is_known;
    };
    enum class copying : std::uint8_t { nothing, in, out };

    event on_copy(request current, copying direction) noexcept;
    event on_end(request current) noexcept;
    event lose() noexcept;
    void await_row_mode() noexcept;

    boost::container::small_vector<expected, 8> expected_;
    std::size_t at_ = 0;
    bool pipelined_ = false;
    bool queue_open_ = false;
    bool unsynced_ = false;
    bool abandoned_ = false;
    bool lost_ = false;
    bool row_mode_wanted_ = false;
    bool row_mode_due_ = false;
    bool series_failed_ = false; // the server skips all requests up to the next sync
    bool copy_expected_ = false;
    bool copy_dry_ = false;
    std::uint8_t ends_in_a_row_ = 0; // ends without a reply of the sync that is due
    copying copying_ = copying::nothing;
};

} // namespace pgcoro::detail
