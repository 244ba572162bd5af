// The multiplexer's decisions: which statements travel together, which are run again, and what is reported to
// each caller. Without I/O, clock or threads: events and times are passed in.
#pragma once

#include "multiplexer/known_statements.hpp"

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace pgcoro::detail
{

// The caller of these functions holds the multiplexer's lock, except for those of a worker that belong to its
// strand. The first that settles a statement notifies its caller; every other one leaves it alone.
class multiplexer_core
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using duration = std::chrono::steady_clock::duration;

    struct limits
    {
        std::size_t connections = 1;
        std::size_t max_batch = 1;
        std::size_t max_waiting = 1;
        duration slow_after{0};
    };

    class worker;

    // A statement that a caller waits for. Workers may still hold one whose caller has gone.
    class statement : public boost::intrusive::list_base_hook<>
    {
    public:
        // `read`: the caller used read(). `is_transaction`: it must not share a transaction with others.
        statement(std::shared_ptr<known_statement> text, bool read, time_point until, bool is_transaction = false)
            : known(std::move(text))
            , deadline(until)
            , repeatable(read && known->reads_only)
            , may_share_sync(repeatable && !is_transaction)
        {}

        // True for the first only, which then has to notify the caller.
        bool settle() noexcept { return !settled_.exchange(true, std::memory_order_acq_rel); }
        bool settled() const noexcept { return settled_.load(std::memory_order_acquire); }
        // Has it been sent, so that the server may have executed it?
        bool sent() const noexcept { return sent_.load(std::memory_order_relaxed); }
        // The number of connections that were lost while it was assigned to them.
        int losses() const noexcept { return losses_; }

        const std::shared_ptr<known_statement> known;
        const time_point deadline;
        // May it be run again although it may have been executed? Both the caller and the parser must say
        // that it only reads.
        const bool repeatable;
        const bool may_share_sync;

    protected:
        ~statement() = default;

    private:
        friend class multiplexer_core;
        friend class worker;

        std::atomic<bool> settled_{false};

        // Guarded by the lock.
        std::shared_ptr<statement> queued_; // itself, while it is in the queue
        worker* worker_ = nullptr;

        // Used by the worker that it is assigned to.
        std::atomic<bool> sent_{false};
        bool alone_ = false;       // must not share a Sync: it failed, or another one of its Sync did
        bool shares_sync_ = false; // with its neighbours, the last time it was sent
        bool answered_ = false;    // and committed with the next Sync
        int stale_ = 0;            // how many times in a row, on this connection
        int losses_ = 0;
    };
    using statement_ptr = std::shared_ptr<statement>;

    // Runs batches from the queue, on one connection after the other. An exclusive worker runs one statement.
    class worker : public boost::intrusive::list_base_hook<>
    {
    public:
        // To be called on the strand of the worker, without the lock, between start_batch() and end_batch().
        // A statement that is returned has just been settled, and its caller must be notified; null: no
        // statement.

        struct to_send
        {
            statement* what = nullptr; // null at the end of the batch
            bool own_sync = false;     // a separate transaction
        };
        to_send next();
        // The i-th statement that next() returned was answered.
        statement* answered(std::size_t i, std::string_view command_tag, time_point now);
        // The i-th failed, so its transaction is undone. `stale`: it was not executed, because the connection
        // had prepared it before a table was changed, and the connection has forgotten that. The session of
        // an exclusive statement has run it again in that case.
        statement* failed(std::size_t i, bool stale);
        // All before the n-th are committed or have failed. Call it again until it returns null.
        statement* committed(std::size_t n);
        statement& sent_as(std::size_t i) const { return *sent_[i]; }
        std::size_t sent_count() const noexcept { return sent_.size(); }
        // The i-th did not reach the server.
        void was_not_sent(std::size_t i) noexcept { sent_[i]->sent_.store(false, std::memory_order_relaxed); }
        // The exclusive worker has a connection now: its statement's time starts.
        void restart_clock(time_point now) noexcept { begun_ = now; }

        // The number of batches so far, which identifies the batch that a request to stop is meant for.
        std::uint64_t batches() const noexcept { return batches_; }
        bool exclusive() const noexcept { return exclusive_; }
        // Is there a batch under way?
        bool running() const noexcept { return running_; }

    protected:
        ~worker() = default;

    private:
        friend class multiplexer_core;
        void learn(statement& s, std::string_view command_tag, time_point now) const;

        // Changed with the lock only; on the worker's strand they may be read without it.
        std::vector<statement_ptr> batch_;
        bool started_ = false;
        bool running_ = false;
        bool exclusive_ = false;
        std::uint64_t batches_ = 0;

        duration slow_after_{0};
        time_point begun_;
        std::vector<statement*> sent_;
        std::size_t next_ = 0;
        std::size_t committed_ = 0;
    };

    explicit multiplexer_core(const limits& l)
        : limits_(l)
    {}
    ~multiplexer_core() { settle_queue(); } // statements in the queue own themselves
    multiplexer_core(const multiplexer_core&) = delete;
    multiplexer_core& operator=(const multiplexer_core&) = delete;

    // --- Callers ---

    enum class admission { queued, exclusive, closed, full };
    // An exclusive statement is not queued: pass it to start_exclusive().
    admission ask(statement_ptr added);

    // The caller of `s` has settled it and does not wait any more. Removes `s` from the queue. Returns the
    // worker to be stopped if nobody waits for any statement of its batch; null otherwise.
    worker* leave(statement& s) noexcept;

    struct overdue
    {
        statement_ptr what;
        worker* stop = nullptr; // see leave()
    };
    // Settles the statements whose deadline has passed, and returns them. Sets `next` to the next deadline.
    std::vector<overdue> expire(time_point now, time_point& next);

    // --- Workers ---

    // The number of workers that are missing. Each of them must be passed to start().
    std::size_t workers_to_start() noexcept;
    void start(worker& w) noexcept;
    void start_exclusive(worker& w, statement_ptr only);

    enum class step { work, look_again, end };
    // The next step of a worker that has no connection. If the queue is empty, it looks once more if `again`,
    // and ends otherwise.
    step next_step(worker& w, bool again) noexcept;

    struct start_batch_result
    {
        bool any = false;
        std::vector<statement_ptr> exclusive; // found to be so while they were queued: start_exclusive()
    };
    // Assigns statements to the worker. `any` is false if there is nothing to run.
    start_batch_result start_batch(worker& w, time_point now);

    enum class ending {
        complete, // all answers are there
        lost,     // the connection is lost, or was stopped
    };
    enum class verdict {
        lost,    // not executed, or only a read, and not tried again
        unknown, // may have been executed
        closed,  // not run again, because the multiplexer is closed
    };
    using verdicts = std::vector<std::pair<statement_ptr, verdict>>;
    struct end_batch_result
    {
        verdicts settled;        // their callers must be notified
        bool same_again = false; // some must be run again on the same connection: start_batch()
    };
    // Statements without an answer get a verdict, or are run again: by this worker if it is exclusive or has
    // outdated statements, by any worker otherwise.
    end_batch_result end_batch(worker& w, ending how, time_point now);

    // The worker could not get a connection, and ends. Unless another worker has one, settles all statements
    // of the queue, and returns them.
    std::vector<statement_ptr> no_connection(worker& w);
    // An exclusive worker ends.
    void end_exclusive(worker& w) noexcept;
    // The worker was destroyed before its end, together with its I/O context, so that nobody can serve the
    // queue any more: closes the core.
    verdicts destroyed(worker& w, time_point now);

    struct close_result
    {
        std::vector<statement_ptr> settled; // their callers must be notified
        std::vector<worker*> stop;
    };
    // Refuses new statements, and settles those that were not sent yet.
    close_result close();

    // --- State ---

    bool closed() const noexcept { return closed_; }
    // Has every worker ended?
    bool at_rest() const noexcept { return workers_ == 0 && exclusive_.empty(); }
    std::size_t waiting() const noexcept { return queue_.size(); }
    std::size_t connections() const noexcept { return running_.size(); }
    struct counters
    {
        std::uint64_t statements = 0;
        std::uint64_t batches = 0;
        std::uint64_t run_again = 0;
        std::uint64_t exclusive = 0;
    };
    const counters& counts() const noexcept { return counters_; }

    // A read is tried on this many connections: it may be the statement itself that breaks them.
    static constexpr int most_losses = 3;
    // A statement can be stale again only if a table was changed again. After this many times in a row, the
    // error has another cause: a function may raise the same one.
    static constexpr int most_stale = 5;

private:
    statement_ptr dequeue(statement& s) noexcept;
    std::vector<statement_ptr> settle_queue();
    bool nobody_waits_for(const worker& w) const noexcept;
    void fill(worker& w, start_batch_result& result);

    const limits limits_;
    boost::intrusive::list<statement> queue_;
    boost::intrusive::list<worker> running_;   // those with a batch for a connection
    boost::intrusive::list<worker> exclusive_; // those with a statement, from its start to its end
    std::size_t workers_ = 0;                  // not exclusive: running, or looking for something to do
    bool closed_ = false;
    counters counters_;
};

} // namespace pgcoro::detail
