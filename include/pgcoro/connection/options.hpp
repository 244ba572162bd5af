#pragma once

#include <pgcoro/connection/credentials.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/observer/trace_context.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>

namespace PGCORO_API pgcoro
{

class observer;

/// A number of milliseconds that has a default and knows whether the program chose a value. It can be used
/// wherever `std::chrono::milliseconds` can; assigning a duration, also the default's own value, chooses it.
/// A default gives way to what the connection string, the environment or the server says; a chosen value does
/// not.
class timeout_option : public std::chrono::milliseconds
{
public:
    /// Chooses `value`.
    template <class Duration>
    requires std::convertible_to<Duration, std::chrono::milliseconds> &&
        (!std::same_as<std::remove_cvref_t<Duration>, timeout_option>)constexpr timeout_option(
            const Duration& value) // NOLINT(google-explicit-constructor): a duration
        : duration(std::chrono::milliseconds(value))
        , chosen_(true)
    {}

    /// A timeout that the program did not choose.
    static constexpr timeout_option by_default(std::chrono::milliseconds value) noexcept
    {
        timeout_option t(value);
        t.chosen_ = false;
        return t;
    }

    /// Returns true if the program chose the value.
    constexpr bool is_chosen() const noexcept { return chosen_ || count() != default_.count(); }

private:
    std::chrono::milliseconds default_ = *this; // also `timeout *= 2` chooses a value
    bool chosen_;
};

/// How cancel requests are sent on an encrypted connection.
///
/// libpq encrypts them from version 17 on. Before that it sends them in clear text: whoever reads the network
/// learns the key that stops this session's statements, and nothing else.
enum class cancel_encryption {
    prefer,  ///< encrypted where libpq can do that, otherwise in clear text
    require, ///< never in clear text: the connection is closed instead, and the statement may run on
};

/// Returns "prefer" or "require".
std::string_view to_string(cancel_encryption e) noexcept;

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
    /// libpq's own parameters by keyword: host, hostaddr, port, dbname, user, password, sslmode, service … ("Parameter Key
    /// Words", PostgreSQL's documentation of libpq). The rest is taken from the service file, the `PG*` environment and libpq's
    /// defaults; passwords from `.pgpass`. The members of this struct win over these parameters, and these over
    /// service file and environment. Several hosts are separated by commas and tried in order. A host that did not answer
    /// within `connect_timeout` is tried last by all connects of this process for the next 30 seconds.
    ///
    /// Connecting refuses what cannot be honoured: `replication`, and a `client_encoding` other than UTF8, because text travels
    /// as UTF-8. A statement that sets another encoding gets what it asks for: until its lease ends, the server takes text
    /// parameters to be in that encoding and returns text in it, and pgcoro converts neither. A pool sets UTF8 again before the
    /// next caller gets the connection, whatever `pool_options::reset` is.
    std::map<std::string, std::string, std::less<>> parameters;

    /// Where user and password of each new connection come from, for credentials that change. None by default.
    /// What it returns wins over the parameters; see `credentials_source`.
    credentials_source credentials;

    /// Server settings of each new session, for instance {"search_path", "app"}. They travel in the startup
    /// packet and cost no round trip. They win over the timeouts below.
    std::map<std::string, std::string, std::less<>> settings;

    /// The name that the server shows in pg_stat_activity. If it is empty: `application_name` of the
    /// parameters or `PGAPPNAME`; without these the pool's name, or "pgcoro".
    std::string application_name;

    /// Time to reach and log in to one address; the next one is tried after it. 1 ms to 2,147,483,647 ms.
    /// Unless chosen here, `connect_timeout` of the parameters or `PGCONNECT_TIMEOUT` is used (seconds; 0 is
    /// no limit), and 10 seconds where neither is set.
    timeout_option connect_timeout = timeout_option::by_default(std::chrono::seconds(10));

    /// The server stops a statement after this long (57014). 0 to 2,147,483,647 ms; 0 asks for no limit and
    /// leaves one that the server sets.
    ///
    /// A value that is chosen here holds. The default of 30 seconds is applied only where nobody has set a
    /// limit: neither `options` of the parameters or `PGOPTIONS` ("-c statement_timeout=5min"), nor
    /// ALTER ROLE, ALTER DATABASE, nor the server's configuration. The same is true of the next two. To find
    /// out costs one round trip per connect; choosing all three saves it. A default is applied by SET, so
    /// `RESET ALL` and `DISCARD ALL` remove it until the pool, which restores it, gets the connection back.
    timeout_option statement_timeout = timeout_option::by_default(std::chrono::seconds(30));

    /// The server gives up waiting for a lock after this long (55P03). 0 to 2,147,483,647 ms; 0 asks for no
    /// limit. The default is 10 seconds.
    timeout_option lock_timeout = timeout_option::by_default(std::chrono::seconds(10));

    /// The server ends a session that idles in a transaction for this long (25P03). 0 to 2,147,483,647 ms; 0
    /// asks for no limit. The default is 60 seconds.
    timeout_option idle_in_transaction_session_timeout = timeout_option::by_default(std::chrono::seconds(60));

    /// How much longer than the `statement_timeout` in force at the login an answer may take before the
    /// connection is given up as dead: the bound where the server, or the network, says nothing at all.
    /// Without a `statement_timeout` there is no such bound. Whoever raises statement_timeout by SET for a
    /// long statement raises this, too. 0 to 2,147,483,647 ms.
    std::chrono::milliseconds response_grace{5'000};

    /// How cancel requests are sent where the connection is encrypted.
    pgcoro::cancel_encryption cancel_encryption = pgcoro::cancel_encryption::prefer;

    /// The most prepared statements of a connection; evicts the least recently used. 0: none. See `prepared_statement`.
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

    /// Returns options from a URI ("postgresql://user@host:5432/db?sslmode=require") or libpq's
    /// "key=value key=value" text.
    /// @par Errors
    /// Throws `std::invalid_argument` that says what is wrong at which position. The error never quotes the
    /// text, because a password may stand anywhere in a malformed one.
    static connection_options from_uri(std::string_view uri);

    /// Returns options from DATABASE_URL if that is set, otherwise from libpq's `PG*` variables alone.
    /// @par Errors
    /// As `from_uri()`; the error names the variable.
    static connection_options from_env();

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;

    /// For logs: host, port, database and user, never the password.
    std::string describe() const;
};

} // namespace pgcoro
