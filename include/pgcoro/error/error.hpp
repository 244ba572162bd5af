#pragma once

#include <pgcoro/error/sqlstate.hpp>
#include <pgcoro/export.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// What the server says of an error or a notice: the fields of ErrorResponse and NoticeResponse, as the
/// protocol's documentation names them. Empty (0 for numbers) where the server said nothing.
struct diagnostics
{
    std::string severity; ///< ERROR, FATAL, PANIC, WARNING, NOTICE … never translated
    pgcoro::sqlstate sqlstate;
    std::string message;
    std::string detail;
    std::string hint;
    std::string context; ///< the call stack of PL/pgSQL and the like
    std::string schema;
    std::string table;
    std::string column;
    std::string datatype;
    std::string constraint;
    std::string routine; ///< the server's C function that reported it
    int position = 0;    ///< where in the SQL, in characters, counted from 1
};

/// The base of all that pgcoro throws, except for cancellation (`boost::system::system_error` with `operation_aborted`, as in
/// Asio) and misuse (`std::logic_error`, `std::invalid_argument`). `what()` tells the story in some lines. It has at most 2,000
/// bytes of each of the server's texts and 500 of the statement; diag() and sql() have everything. Copying does not throw.
class error : public std::runtime_error
{
public:
    explicit error(const std::string& what, diagnostics diag = {}, std::string_view sql = {});
    ~error() override;

    const char* what() const noexcept override;

    /// The error as a code: its SQLSTATE in `sqlstate_category()` or, where the server said nothing,
    /// a generic "not by the server" code of `client_category()`.
    virtual boost::system::error_code code() const noexcept;

    /// The SQLSTATE; "00000" when the server said nothing.
    pgcoro::sqlstate sqlstate() const noexcept;
    const std::string& severity() const noexcept;
    /// The server's primary message, or what() without its additions.
    const std::string& message() const noexcept;
    const std::string& detail() const noexcept;
    const std::string& hint() const noexcept;
    /// The violated constraint's name.
    const std::string& constraint() const noexcept;
    /// Where in sql(), in characters counted from 1; 0 when unknown.
    int position() const noexcept;
    /// The statement that failed; empty when none did.
    const std::string& sql() const noexcept;
    /// All fields.
    const diagnostics& diag() const noexcept;

    /// May the same work succeed when it is done again from its start, with nothing changed by the caller?
    virtual bool is_transient() const noexcept;
    /// Is a transaction in which this happened lost?
    virtual bool invalidates_transaction() const noexcept;
    /// Is the connection on which this happened lost?
    virtual bool invalidates_connection() const noexcept;
    /// Is it the violation of an integrity constraint (of that name, when one is given)?
    bool is_constraint(std::string_view name = {}) const noexcept;

    /// Adds a line to what(): who passes an error on says what it knows, "after 5 attempts: …".
    void add_note(std::string_view note);

private:
    struct payload;
    std::shared_ptr<const payload> payload_;
};

/// The server refused or stopped a statement. The connection stays usable unless
/// invalidates_connection() says otherwise.
class server_error : public error
{
public:
    server_error(diagnostics diag, std::string_view sql, bool by_standby = false);

    /// Returns true if a standby refused the statement: with 25006, because a standby takes no writes; with 0A000 or 55000,
    /// which a standby also gives for what only a primary can run, such as a query of an unlogged table. Returns false for
    /// the same codes of a primary, and for servers older than PostgreSQL 14, which do not say what they are.
    bool by_standby() const noexcept { return by_standby_; }

private:
    bool by_standby_;
};

/// Why a connection could not be made, or is gone.
enum class connection_failure {
    options,              ///< an option is wrong: nothing was tried
    resolve,              ///< the host's name has no address
    refused,              ///< nobody listens there, or the network refuses
    timeout,              ///< no answer in time
    tls,                  ///< encryption could not be agreed on, or a certificate is wrong
    authentication,       ///< user or password refused, or pg_hba.conf has no entry
    no_such_database,     ///< the server has no database of that name
    too_many_connections, ///< the server, role or database has no connection left
    starting_up,          ///< the server starts up, shuts down or recovers
    wrong_role,           ///< a primary was asked for and this is a standby, or the reverse
    lost,                 ///< it was there and broke
    protocol,             ///< what answers there is not a PostgreSQL server
    other,
};

/// "refused", "no such database" …: for messages and labels.
std::string_view to_string(connection_failure f) noexcept;

/// A connection could not be made, or broke.
class connection_error : public error
{
public:
    connection_error(connection_failure why, const std::string& what, diagnostics diag = {},
                     std::string_view sql = {});
    /// The cause, told apart by SQLSTATE and by what failed, never by the message's words.
    connection_failure why() const noexcept { return why_; }
    /// As error::code(); without a SQLSTATE one that equals `condition::connection_lost` or
    /// `condition::server_unavailable`, as why() has it.
    boost::system::error_code code() const noexcept override;
    /// Returns true for what waiting may mend; false for options, authentication, database name, TLS and
    /// protocol.
    bool is_transient() const noexcept override;
    bool invalidates_transaction() const noexcept override { return true; }
    bool invalidates_connection() const noexcept override { return true; }

private:
    connection_failure why_;
};

/// No connection became free in time, or too many were waiting already. what() says sizes, counts,
/// waiters, how long, and the last connect failure.
class pool_timeout : public error
{
public:
    using error::error;
    bool is_transient() const noexcept override { return true; }
};

/// The pool is closed, or closing.
class pool_closed : public error
{
public:
    using error::error;
};

/// The connection broke while COMMIT was under way, and what came of it could not be found out.
/// Neither repeat blindly nor take it for done.
class commit_unknown : public error
{
public:
    using error::error;
    bool invalidates_transaction() const noexcept override { return true; }
};

/// A deadline passed before the work was done.
class deadline_exceeded : public error
{
public:
    using error::error;
    bool invalidates_transaction() const noexcept override { return true; }
};

/// A circuit breaker is open: the call was not tried.
class circuit_open : public error
{
public:
    circuit_open(const std::string& what, std::chrono::steady_clock::time_point retry_at)
        : error(what)
        , retry_at_(retry_at)
    {}
    /// When the breaker lets the next trial through.
    std::chrono::steady_clock::time_point retry_at() const noexcept { return retry_at_; }
    bool is_transient() const noexcept override { return true; }

private:
    std::chrono::steady_clock::time_point retry_at_;
};

/// A value does not fit: a result's column into the C++ type, or a C++ value into a parameter.
/// The connection stays usable.
class mapping_error : public error
{
public:
    using error::error;
};

/// The category of errors that the server has no part in. Its value 1 means "see the exception", 2 that a
/// connection was lost, 3 that none could be made at present.
const boost::system::error_category& client_category() noexcept;

} // namespace pgcoro
