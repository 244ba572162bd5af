// What holds a session while something is under way on it.
#pragma once

#include "connection/session.hpp"

namespace pgcoro::detail
{

// A cancel request on its way. It outlives the session if it must: PQcancel may block for long.
struct session::cancel_request
{
    std::shared_ptr<one_shot> finished = std::make_shared<one_shot>();
};

// The session is taken, for something that is not a statement, as long as this lives.
class session::claim
{
public:
    explicit claim(session& s)
        : session_(s)
    {
        session_.work_ = work::internal;
    }
    claim(const claim&) = delete;
    claim& operator=(const claim&) = delete;
    ~claim() { session_.work_ = work::none; }

private:
    session& session_;
};

// From sending to the last answer. Left any other way, the session is interrupted, and the server told to
// stop. Used as a local of a coroutine, so that it also ends when the coroutine is destroyed.
class session::operation
{
public:
    // `of`: a statement, or internal, where a claim is held.
    operation(session& s, work of, time_point deadline)
        : session_(s)
        , of_(of)
    {
        session_.work_ = of;
        if (of == work::statement) ++session_.sent_;
        session_.wire_->begin(deadline, !session_.watched_);
    }
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;

    ~operation()
    {
        if (finished_) return;
        in_time();
        session_.interrupted_ = true;
        if (!session_.broken()) session_.ask_to_stop();
    }

    // Nobody waits for the server for a while, so that no time counts. False when the connection was cut
    // because the deadline had passed.
    bool pause() noexcept
    {
        if (session_.wire_->end()) return true;
        session_.broken_ = true;
        // It may still go on at the server, and hold its locks: who works there does not see that the client
        // left.
        session_.ask_to_stop();
        return false;
    }
    // The server is waited for again, or has shown that it works.
    void resume(time_point deadline) { session_.wire_->begin(deadline, !session_.watched_); }

    // All answers are there. False when the connection was cut meanwhile because the deadline had passed.
    bool finish() noexcept
    {
        finished_ = true;
        return in_time();
    }

private:
    bool in_time() noexcept
    {
        if (of_ == work::statement) {
            auto expected = work::statement;
            if (!session_.work_.compare_exchange_strong(expected, work::none)) {
                std::lock_guard lock(session_.cancel_mutex_); // cancel() may not be through yet
                session_.work_ = work::none;
            }
        }
        return pause();
    }

    session& session_;
    work of_;
    bool finished_ = false;
};

} // namespace pgcoro::detail
