// What holds a session while something is under way on it.
#pragma once

#include "connection/session_impl.hpp"

namespace pgcoro::detail
{

// The session is taken, for something that is not a statement of its user's, as long as this lives.
class claim
{
public:
    explicit claim(session_impl& s)
        : session_(s)
    {
        session_.stops.begin(stop_requests::work::internal);
    }
    claim(const claim&) = delete;
    claim& operator=(const claim&) = delete;
    ~claim() { session_.stops.end(); }

private:
    session_impl& session_;
};

// From sending to the last answer. Left any other way, the session is interrupted, and the server told to stop. Used as
// a local of a coroutine, so that it also ends when the coroutine is destroyed.
class operation
{
public:
    // A statement of the user's; or something under a claim.
    enum class kind : bool { statement, under_claim };

    explicit operation(session_impl& s, kind what = kind::statement)
        : session_(s)
        , kind_(what)
    {
        if (kind_ == kind::under_claim) return;
        session_.stops.begin(stop_requests::work::statement);
        ++session_.sent;
    }
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;

    ~operation()
    {
        if (finished_) return;
        session_.interrupt();
        end();
    }

    // All answers are there, or none will come.
    void finish() noexcept
    {
        finished_ = true;
        session_.end_trip();
        end();
    }

private:
    // The last that is done here: another thread may wait for it to go on with the session.
    void end() noexcept
    {
        if (kind_ == kind::statement) session_.stops.end();
    }

    session_impl& session_;
    kind kind_;
    bool finished_ = false;
};

} // namespace pgcoro::detail
