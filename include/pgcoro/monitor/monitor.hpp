/// The HTTP API on what is observed, and the dashboard. In a library of its own, pgcoro::monitor, built where
/// Boost.URL and Chart.js are found.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/observe.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

class query_cache;

/// What a monitor shows. What is null is left out of the answers; all of it must outlive the monitor.
struct monitor_sources
{
    const pgcoro::metrics* metrics = nullptr; ///< the one that must be there
    pgcoro::pool* pool = nullptr;             ///< asked for a connection by /health and /health/detailed
    const pgcoro::history* history = nullptr;
    const pgcoro::alerts* alerts = nullptr;
    const pgcoro::sampler* sampler = nullptr; ///< for the server's own view, as old as its last sample
    pgcoro::query_cache* cache = nullptr;
};

/// Where a monitor listens, whom it answers, and how long it is patient.
struct monitor_options
{
    std::string address = "127.0.0.1"; ///< an IP address; "::" or "0.0.0.0" for all
    std::uint16_t port = 8780;         ///< 0: the system chooses; see `monitor::port`

    /// Whoever asks must send it as "Authorization: Bearer …", but for /health, the API's description and
    /// the page itself, which holds no figures and asks its reader for it. Compared in a time that depends on
    /// its length only. Empty (default): nobody must. Travels unencrypted: put TLS in front of what is not
    /// loopback.
    std::string token;

    /// Names under which it may be asked, in a request's Host, beside "localhost" and all IP addresses. So
    /// that no foreign web page can read it by letting a name of its own point here (DNS rebinding); with a
    /// token any name will do.
    std::vector<std::string> hosts;

    bool allow_invalidation = false; ///< lets POST …/cache/invalidate/… change the cache

    /// Tables that the service cannot do without, as "schema.table": /health/detailed says which are there.
    std::vector<std::string> tables;

    /// How many connections may be open; 1 or more. A new one beyond that closes the connection that has
    /// waited for a request longest, so that nobody can keep probes out by holding connections. A few more
    /// are served if all are busy, but with `/health` only.
    std::size_t max_connections = 64;
    std::size_t max_streams = 16;                     ///< of them, event streams; below max_connections
    std::uint32_t max_header_bytes = 8'192;           ///< 256 or more
    std::chrono::milliseconds request_timeout{5'000}; ///< for a request to arrive; at least 1 ms
    std::chrono::milliseconds write_timeout{10'000};  ///< for an answer to be taken; at least 1 ms
    std::chrono::milliseconds idle_timeout{60'000};   ///< between two requests; at least 1 ms
    /// For the database to answer, at least 1 ms. `/health` says that it does not after this time: with the
    /// default well within the second that a readiness probe waits.
    std::chrono::milliseconds check_within{750};

    /// From one event to the next. The dashboard's figures are made, and the database is asked for /health,
    /// no more often than this, however many ask. At least 10 ms.
    std::chrono::milliseconds interval{1'000};

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

/// Answers HTTP on the io_context of who runs it: `/` is the dashboard, `/openapi.json` describes the rest.
///
///     pgcoro::monitor_sources sources{.metrics = &metrics, .pool = &pool, .history = &history};
///     pgcoro::monitor monitor(io.get_executor(), sources);
///     co_spawn(io, monitor.run(), detached);
///
/// Each connection runs on a strand of its own: several threads may run the io_context. run() itself is a
/// coroutine like others, to be started and cancelled on one thread or strand.
///
/// Reads only, unless `allow_invalidation` says otherwise. What is asked wrongly is answered by a status and
/// a problem in JSON (RFC 9457). Parameters of statements are shown nowhere.
class monitor
{
public:
    /// Listens from now on. Throws what `options.validate()` throws, `std::invalid_argument` without metrics,
    /// and `boost::system::system_error` when the address cannot be had.
    monitor(boost::asio::any_io_executor executor, monitor_sources sources, monitor_options options = {});
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;
    /// After run() has ended, or once nothing runs its io_context any more.
    ~monitor();

    /// Answers until cancelled (any kind), then ends all connections, and itself when they are gone. A
    /// failure to accept is waited out. Once.
    boost::asio::awaitable<void> run();

    /// Where it listens.
    std::uint16_t port() const noexcept;
    /// "http://127.0.0.1:8780"
    std::string url() const;

private:
    struct impl;
    std::shared_ptr<impl> impl_;
};

} // namespace pgcoro
