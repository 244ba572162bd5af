// Marks a session as in use during an operation.
#pragma once

#include "connection/session_impl.hpp"

namespace pgcoro::detail
{

// Marks the session as in use by an internal operation for as long as it exists.
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

// Exists from sending to the last answer. If it ends without finish(), the operation is interrupted and the server receives
// a cancel request. It is a local variable of a coroutine, so that it also ends when the coroutine is destroyed.
class operation
{
public:
    // A user's statement, or a part of an internal operation, which has a claim.
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

    // Called when all answers are there, or none will come.
    void finish() noexcept
    {
        finished_ = true;
        session_.end_trip();
        end();
    }

private:
    // This comes last: another thread may wait for it and then use, or destroy, the session.
    void end() noexcept
    {
        if (kind_ == kind::statement) session_.stops.end();
    }

    session_impl& session_;
    kind kind_;
    bool finished_ = false;
};

} // namespace pgcoro::detail
