// What was sent to the server, which answers are still due, and what is to be done next. No I/O, no libpq, no clock: the
// session tells it what was queued and what libpq reports, and asks for the next step.
#pragma once

#include <boost/container/small_vector.hpp>

#include <cstddef>
#include <cstdint>

namespace pgcoro::detail
{

class round_trip
{
public:
    // What was sent, of which an answer is due.
    enum class request : std::uint8_t {
        setup,     // in front of a statement (BEGIN, SET LOCAL): nobody looks at its answer
        prepare,   // gives a statement a name
        close,     // takes a statement's name away
        statement, // the caller's
        trailer,   // behind the statement; returns one text, such as the transaction's id
        commit,
        sync,      // the end of a series of pipelined requests; commits them, or tells why not
        script,    // by the simple protocol: any number of answers, COPY among them
    };

    // What libpq reported: the status of a result, or that there is none.
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
        lost,     // no result, and the connection is broken: nothing more will come
    };

    // What the session does next.
    enum class step : std::uint8_t {
        finished,      // nothing is due any more, or nothing will come any more: see lost()
        queue,         // send the next statements, or say with close_queue() that there are none
        take,          // ask libpq for a result
        take_copied,   // ask libpq for a row of COPY … TO STDOUT
        refuse_copy,   // end a COPY … FROM STDIN for which nobody has rows, by an error
        callers_turn,  // COPY … FROM STDIN is open: rows, or its end, are the caller's to send
        read,          // wait until the socket is readable
        read_or_write, // wait until the socket is readable or writable
    };

    // What a reply means.
    enum class event : std::uint8_t {
        nothing,
        rows,          // belongs to the statement
        answer,        // the statement's result
        trailer,       // the text of the request behind the statement
        prepared,      // the statement that was prepared first of those that are not answered yet
        not_prepared,  // the same, and the preparation failed or was skipped
        closed,        // the name that was closed first of those that are not answered yet
        not_closed,    // the same, and the server did not get to it
        committed,     // COMMIT succeeded; its tag may still say ROLLBACK
        error,         // the request failed
        commit_failed, // an error of the sync itself, which commits a series: a deferred constraint
        skipped,       // the statement was not run
        statement_end, // all answers of the statement are there
        synced,
        copy_in,
        copy_out,
        misused_copy,  // COPY in a pipeline, where no way leads out of it: the connection is lost
        ended,         // the connection is lost
    };

    // What libpq and the socket say.
    struct io
    {
        bool flushing = false; // libpq holds bytes that the socket did not take
        bool busy = false;     // libpq has no result before more bytes come
        bool broken = false;   // nothing can be sent or received any more
    };

    // Starts over. `pipelined`: requests are separated by syncs; else there is one, which ends with its answers.
    void begin(bool pipelined) noexcept;

    // A request was handed to libpq. `is_known`: it runs a statement that was prepared in an earlier round trip.
    void expect(request what, bool is_known = false);
    // More statements will be queued while answers come in; until close_queue().
    void open_queue() noexcept { queue_open_ = true; }
    void close_queue() noexcept { queue_open_ = false; }
    // Rows of statements are to be handed on as they come.
    void want_rows() noexcept
    {
        row_mode_wanted_ = true;
        await_row_mode();
    }
    // A COPY is expected, and its rows are for the caller.
    void expect_copy() noexcept { copy_expected_ = true; }

    // Nothing is due any more, or nothing will come any more: what next() calls finished, known without asking libpq.
    bool is_finished() const noexcept
    {
        return lost_ || (at_ == expected_.size() && !queue_open_ && copying_ == copying::nothing);
    }
    // To be asked before next(), and before libpq is asked whether it is busy, which parses what has arrived: libpq is
    // to be told now to hand on the rows of the statement that is due.
    bool is_row_mode_due() const noexcept { return row_mode_due_; }
    void row_mode_set() noexcept { row_mode_due_ = false; }

    step next(io now) const noexcept;

    // Takes in what libpq reported in answer to `take`.
    event on(reply what);
    // libpq gave no row of a COPY because none has arrived.
    void copy_is_dry() noexcept { copy_dry_ = true; }
    void bytes_arrived() noexcept { copy_dry_ = false; }
    // COPY … TO STDOUT sent its last row.
    void copy_out_ended() noexcept { copying_ = copying::nothing; }
    // CopyDone or CopyFail was sent.
    void copy_in_ended() noexcept { copying_ = copying::nothing; }

    // Nobody waits for the answers any more: nothing is queued, a COPY is ended. The answers are still due.
    void abandon() noexcept;

    // Requests were sent behind the last sync: without one the server would not answer, and would keep their locks.
    bool owes_sync() const noexcept { return unsynced_; }
    bool is_copying_in() const noexcept { return copying_ == copying::in; }
    bool is_copying_out() const noexcept { return copying_ == copying::out; }
    // A COPY for which nobody had expected rows, or had any: its rows are thrown away, or it fails.
    bool is_unwanted_copy() const noexcept { return copying_ != copying::nothing && (!copy_expected_ || abandoned_); }
    // All that is due came in. False also while the queue is open.
    bool is_answered() const noexcept { return !lost_ && is_finished(); }
    // The connection ended, or is to be ended, before all that was due came in.
    bool lost() const noexcept { return lost_; }
    bool is_pipelined() const noexcept { return pipelined_; }
    // The request that is due runs a statement of an earlier round trip.
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
    bool series_failed_ = false; // nothing more is run before the next sync
    bool copy_expected_ = false;
    bool copy_dry_ = false;
    std::uint8_t ends_in_a_row_ = 0; // ends without a reply of the sync that is due
    copying copying_ = copying::nothing;
};

} // namespace pgcoro::detail
