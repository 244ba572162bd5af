#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observer/trace_context.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

class observer;

/// What stands between this program and the server.
enum class pooler_mode {
    none,        ///< nothing, or what passes everything through
    session,     ///< a pooler that gives each client connection a session of the server for its whole life
    transaction, ///< a pooler that gives each transaction whichever session is free
};

/// "none", "session", "transaction": for messages.
std::string_view to_string(pooler_mode m) noexcept;

/// Where to connect, as whom, and what each new session starts with. A value; not thread-safe to change
/// while it is used.
struct connection_options
{
    /// libpq's own parameters by keyword: host, hostaddr, port, dbname, user, password, sslmode, service,
    /// target_session_attrs … ("Parameter Key Words", PostgreSQL's documentation of libpq). What is not here
    /// is taken from the service file, the `PG*` environment and libpq's defaults; passwords from `.pgpass`.
    /// Several hosts are separated by commas and tried in order.
    std::map<std::string, std::string, std::less<>> parameters;

    /// Server settings of each new session, for instance {"search_path", "app"}. They travel in the startup
    /// packet and cost no round trip.
    std::map<std::string, std::string, std::less<>> settings;

    /// What the server shows in pg_stat_activity; libpq's `application_name` when empty.
    std::string application_name;

    /// Time to reach and log in to one address; the next one is tried after it. At least 1 ms.
    std::chrono::milliseconds connect_timeout{10'000};

    /// The server stops a statement after this long (57014). 0: no limit, unless the server sets one.
    std::chrono::milliseconds statement_timeout{30'000};

    /// The server gives up waiting for a lock after this long (55P03). 0: no limit.
    std::chrono::milliseconds lock_timeout{10'000};

    /// The server ends a session that idles in a transaction for this long (25P03). 0: no limit.
    std::chrono::milliseconds idle_in_transaction_session_timeout{60'000};

    /// How much longer than `statement_timeout` an answer may take before the connection is given up as dead:
    /// the bound where the server, or the network, says nothing at all. Without a `statement_timeout` there
    /// is no such bound. Whoever raises statement_timeout by SET for a long statement raises this, too.
    std::chrono::milliseconds response_grace{5'000};

    /// The most prepared statements a connection keeps; the least recently used goes first. 0 prepares none.
    std::size_t statement_cache_size = 256;

    /// Set where PgBouncer, or a pooler like it, stands before the server.
    ///
    /// `session`: the settings here, timeouts included, are not in the startup packet, which PgBouncer
    /// refuses, but made by one statement after the login.
    ///
    /// `transaction`: no statement is prepared under a name. The settings and timeouts hold in
    /// `transactional` alone, where they travel with BEGIN; for single statements set them by ALTER ROLE …
    /// SET. What would stay in a session that is somebody else's a moment later is refused with
    /// `std::logic_error` before it is sent, as far as the statement's text shows it: SET, LISTEN, temporary
    /// tables without ON COMMIT DROP, advisory locks of the session, cursors WITH HOLD, PREPARE. Nor does a
    /// pool undo any such.
    pooler_mode pooler = pooler_mode::none;

    /// Told of queries, notices and connects; null for nobody. Must outlive the connections.
    pgcoro::observer* observer = nullptr;

    /// The span that connecting belongs to, if an observer wants spans. A pool connects for nobody in
    /// particular, so its connects all belong to this one. Statements have theirs from
    /// `connection::trace`, `pool::traced` and `transaction_options::trace`.
    trace_context trace;

    /// Sends the context of a traced query, execute or stream to the server, in a comment behind its text
    /// (/*traceparent='00-…'*/, the form of sqlcommenter): for the server's log and pg_stat_activity. Such a
    /// statement is not prepared, because its text is another each time; those that are not traced, or whose
    /// context is not sampled, are sent as ever. Metrics and events have the text without it.
    bool traceparent_comments = false;

    /// From a URI ("postgresql://user@host:5432/db?sslmode=require") or libpq's "key=value key=value" text.
    /// Throws `std::invalid_argument` with libpq's words when it is malformed; it never repeats the password.
    static connection_options from_uri(std::string_view uri);

    /// From DATABASE_URL when it is set, else from libpq's `PG*` variables alone.
    static connection_options from_env();

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;

    /// For logs: host, port, database and user, never the password.
    std::string describe() const;
};

} // namespace pgcoro
