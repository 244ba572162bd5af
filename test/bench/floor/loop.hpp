// The floor: libpq and epoll by hand, in one thread, and nothing else.
//
// Why less work is hardly possible with libpq, one statement a round trip:
// - A connection is registered with epoll once, level-triggered, for reading: no epoll_ctl a statement. What
//   is sent is small, and the socket idle by then, so there is never a wait for writing (which is made sure
//   of).
// - One epoll_wait serves all connections that are ready; then a statement costs one recv and one send.
// - Statements are prepared once; parameters and results are binary; the caller's parameters are bound from
//   where they lie, and the result is decoded from libpq's own memory.
// - No queue, no pool, no heap memory but libpq's, no clock (a timerfd ends the run), no indirect call.
#pragma once

#include "measure.hpp"

#include <libpq-fe.h>

#include <boost/endian/conversion.hpp>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench::floor
{

// A bigint from where libpq keeps it.
inline std::int64_t bigint(const char* bytes)
{
    return boost::endian::load_big_s64(reinterpret_cast<const unsigned char*>(bytes));
}

// Bigint parameters of a prepared statement, as libpq wants them.
template <std::size_t N>
void send_prepared(PGconn* conn, const char* name, const std::array<std::int64_t, N>& parameters)
{
    std::array<std::int64_t, N> bytes;
    std::array<const char*, N> values;
    std::array<int, N> lengths;
    std::array<int, N> formats;
    for (std::size_t i = 0; i < N; ++i) {
        bytes[i] = boost::endian::native_to_big(parameters[i]);
        values[i] = reinterpret_cast<const char*>(&bytes[i]);
        lengths[i] = sizeof bytes[i];
        formats[i] = 1;
    }
    if (!PQsendQueryPrepared(conn, name, N, values.data(), lengths.data(), formats.data(), 1))
        throw std::runtime_error(PQerrorMessage(conn));
}

inline void send_simple(PGconn* conn, const char* sql)
{
    if (!PQsendQuery(conn, sql)) throw std::runtime_error(PQerrorMessage(conn));
}

struct statement
{
    const char* name;
    const char* sql;
};

class loop
{
public:
    // Opens the connections and prepares the statements on each.
    loop(const std::string& uri, std::size_t connections, const std::vector<statement>& statements);
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop();

    // Runs one job a connection. job.next(conn, stop) sends a statement, or gives false: it is through;
    // job.take(result) gets what it returned.
    template <class Job>
    void run(std::vector<Job>& jobs, seconds how_long)
    {
        start_timer(how_long);
        auto left = jobs.size();
        for (std::size_t i = 0; i < jobs.size(); ++i)
            if (!send_next(jobs[i], connections_[i], false)) --left;
        serve(left, [&](std::size_t i, PGconn* conn, bool stop) {
            while (!PQisBusy(conn)) {
                auto* result = PQgetResult(conn);
                if (!result) return send_next(jobs[i], conn, stop);
                jobs[i].take(result);
                PQclear(result);
            }
            return true;
        });
    }

    // The same in pipeline mode: `depth` statements a Sync. What libpq itself needs, with round trips shared.
    template <class Job>
    void run_pipelined(std::vector<Job>& jobs, int depth, seconds how_long)
    {
        for (auto* conn : connections_)
            if (!PQenterPipelineMode(conn)) fail(conn);
        start_timer(how_long);
        for (std::size_t i = 0; i < jobs.size(); ++i) send_batch(jobs[i], connections_[i], depth);
        serve(jobs.size(), [&](std::size_t i, PGconn* conn, bool stop) {
            while (!PQisBusy(conn)) {
                auto* result = PQgetResult(conn);
                if (!result) continue; // between two statements
                bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
                if (!synced) jobs[i].take(result);
                PQclear(result);
                if (!synced) continue;
                if (!stop) send_batch(jobs[i], conn, depth);
                return !stop;
            }
            return true;
        });
        for (auto* conn : connections_)
            if (!PQexitPipelineMode(conn)) fail(conn);
    }

private:
    // ready(i, conn, stop) takes what came in on a connection, and gives false when its job is through; until
    // none is left.
    template <class Ready>
    void serve(std::size_t left, Ready ready)
    {
        bool stop = false;
        while (left > 0) {
            auto events = wait();
            for (std::size_t e = 0; e < events; ++e) {
                auto i = ready_[e];
                if (i == timer_index) {
                    stop = true;
                    stop_timer();
                    continue;
                }
                auto* conn = connections_[i];
                if (!PQconsumeInput(conn)) fail(conn);
                if (!ready(i, conn, stop)) --left;
            }
        }
        stop_timer();
    }

    template <class Job>
    static void send_batch(Job& job, PGconn* conn, int depth)
    {
        for (int n = 0; n < depth; ++n) job.next(conn, false);
        if (!PQpipelineSync(conn) || PQflush(conn) != 0) fail(conn);
    }

    template <class Job>
    static bool send_next(Job& job, PGconn* conn, bool stop)
    {
        if (!job.next(conn, stop)) return false;
        if (PQflush(conn) != 0) fail(conn);
        return true;
    }

    [[noreturn]] static void fail(PGconn* conn);
    void start_timer(seconds how_long);
    void stop_timer();
    std::size_t wait(); // fills ready_

    static constexpr std::size_t most_ready = 64;
    static constexpr std::size_t timer_index = ~std::size_t(0);

    std::vector<PGconn*> connections_;
    std::array<std::size_t, most_ready> ready_;
    int epoll_ = -1;
    int timer_ = -1;
};

} // namespace bench::floor
