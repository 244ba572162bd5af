#include "connection/diagnostics.hpp"

#include "base/shortened.hpp"
#include "connection/statement_cache.hpp"

#include <charconv>
#include <system_error>

namespace pgcoro::detail
{
namespace
{

// Why a server, or a pooler before it, ended a login.
connection_failure why_refused(sqlstate code)
{
    if (code == sqlstates::too_many_connections) return connection_failure::too_many_connections;
    if (code == sqlstates::invalid_catalog_name || code == sqlstate("57P04"))
        return connection_failure::no_such_database;
    if (code.class_code() == "28" || code == sqlstate("42501")) return connection_failure::authentication;
    // A setting that the server does not know, or a value that it does not take; a database that takes no
    // connections.
    if (code.class_code() == "22" || code.class_code() == "42" || code.class_code() == "55")
        return connection_failure::options;
    if (code.class_code() == "0A") return connection_failure::protocol;
    // Of these PgBouncer has 08P01 for whatever it cannot do now, such as query_wait_timeout.
    if (code.class_code() == "08" || code.class_code() == "57") return connection_failure::starting_up;
    return connection_failure::other;
}

// PgBouncer reports some permanent failures as 08P01, too. Its messages are not translated.
connection_failure why_refused_by_pooler(std::string_view message)
{
    if (message.starts_with("unsupported startup parameter")) return connection_failure::options;
    if (message.starts_with("no such database")) return connection_failure::no_such_database;
    for (auto* begin : {"no such user", "password authentication failed", "SASL authentication failed",
                        "authentication failed", "SSL required"})
        if (message.starts_with(begin)) return connection_failure::authentication;
    return connection_failure::starting_up;
}

// With verbosity VERBOSE libpq writes "FATAL:  28P01: password authentication failed …": severity and words
// may be translated, the five characters between two colons are not.
struct parsed
{
    std::string severity;
    sqlstate code;
    std::string message;
    std::string routine;
};

// Of the last line, "LOCATION:  auth_failed, auth.c:335", whose first word may be translated.
std::string parse_routine(const std::string& text)
{
    auto line = text.rfind(":  ");
    auto comma = line == text.npos ? text.npos : text.find(", ", line);
    if (comma == text.npos || text.find(".c:", comma) == text.npos) return {};
    return text.substr(line + 3, comma - line - 3);
}

parsed parse_verbose(const std::string& text)
{
    for (std::size_t at = 0; (at = text.find(":  ", at)) != text.npos; ++at) {
        auto code = std::string_view(text).substr(at + 3, 5);
        if (text.compare(at + 8, 2, ": ") != 0 || !sqlstate(code)) continue;
        auto line = text.find_last_of(" \n", at);
        auto severity =
            text.substr(line == text.npos ? 0 : line + 1, at - (line == text.npos ? 0 : line + 1));
        auto end = text.find('\n', at);
        auto message = text.substr(at + 10, end == text.npos ? end : end - at - 10);
        return {severity, sqlstate(code), message, parse_routine(text)};
    }
    return {};
}

// When libpq has told that a connection is lost, and is asked for its results, it adds that there is no
// socket.
std::string without_echo(std::string message)
{
    constexpr std::string_view echo = "\ninvalid socket";
    if (message.ends_with(echo)) message.resize(message.size() - echo.size());
    return message;
}

// libpq's message in one line, without the address that it begins with: that stands before the reason
// already.
std::string reason_of(std::string_view text)
{
    constexpr std::string_view found = " failed: ";
    auto line = text.substr(0, text.find('\n'));
    if (auto at = line.find(found); line.starts_with("connection to server ") && at != line.npos)
        text.remove_prefix(at + found.size());
    std::string one;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\n') {
            one += text[i];
            continue;
        }
        bool goes_on = i + 1 < text.size() && text[i + 1] == '\t';
        one += goes_on ? ". " : "; ";
        if (goes_on) ++i;
    }
    return one;
}

bool is_standby(const PGconn* conn)
{
    auto* said = PQparameterStatus(conn, "in_hot_standby");
    return said && std::string_view(said) == "on";
}

} // namespace

void throw_rolled_back()
{
    diagnostics d;
    d.severity = "ERROR";
    d.sqlstate = sqlstate("25P02");
    d.message = "COMMIT was answered with ROLLBACK: the transaction had failed before";
    throw server_error(std::move(d), "commit");
}

std::string as_told(const char* message)
{
    std::string_view text = message;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    return std::string(text);
}

std::string error_text(PGconn* conn) { return as_told(PQerrorMessage(conn)); }

std::string describe_peer(PGconn* conn, int backend_pid)
{
    auto text = [](const char* s) { return std::string(s ? s : ""); };
    auto host = text(PQhost(conn));
    return "database " + text(PQdb(conn)) + " on " + (host.empty() ? "?" : host) + " port " +
           text(PQport(conn)) + ", server process " + std::to_string(backend_pid);
}

sqlstate code_of(const PGresult* error)
{
    auto* text = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    return sqlstate(text ? text : "");
}

bool is_fatal(const PGresult* error)
{
    // Poolers send the severity in the field that a server translates, and only there.
    auto* text = PQresultErrorField(error, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!text) text = PQresultErrorField(error, PG_DIAG_SEVERITY);
    std::string_view severity = text ? text : "";
    return severity == "FATAL" || severity == "PANIC";
}

bool may_be_stale_statement(sqlstate code) noexcept
{
    constexpr sqlstate insufficient_privilege{"42501"};
    constexpr sqlstate internal_error{"XX000"}; // "cache lookup failed for type"
    return code == internal_error || (code.class_code() == "42" && code != insufficient_privilege);
}

bool is_unreplicated_commit(const PGresult* notice)
{
    // By its place in the server's source, because the text is translated.
    auto* routine = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
    return routine && std::string_view(routine) == "SyncRepWaitForLSN";
}

bool is_lost_statement(sqlstate code, std::string_view routine, std::string_view message) noexcept
{
    if (code == sqlstates::invalid_sql_statement_name)
        return message.find(statement_cache::name_prefix) != message.npos;
    return code == sqlstates::feature_not_supported && routine == "RevalidateCachedQuery";
}

std::size_t size_of_notice(const PGresult* notice) noexcept
{
    // PostgreSQL's documentation, "Error and Notice Message Fields": type, length, fields of a code and a text that ends
    // with a zero byte, and a zero byte.
    constexpr std::string_view codes = "SVCMDHPpqWstcdnFLR";
    std::size_t size = 1 + 4 + 1;
    for (char code : codes)
        if (auto* text = PQresultErrorField(notice, code)) size += 1 + std::string_view(text).size() + 1;
    return size;
}

diagnostics read_diagnostics(const PGresult* result)
{
    auto get = [&](int field) {
        auto* text = PQresultErrorField(result, field);
        return std::string(text ? text : "");
    };
    diagnostics d;
    d.severity = get(PG_DIAG_SEVERITY_NONLOCALIZED);
    if (d.severity.empty()) d.severity = get(PG_DIAG_SEVERITY);
    d.sqlstate = sqlstate(get(PG_DIAG_SQLSTATE));
    d.message = get(PG_DIAG_MESSAGE_PRIMARY);
    d.detail = get(PG_DIAG_MESSAGE_DETAIL);
    d.hint = get(PG_DIAG_MESSAGE_HINT);
    d.context = get(PG_DIAG_CONTEXT);
    d.schema = get(PG_DIAG_SCHEMA_NAME);
    d.table = get(PG_DIAG_TABLE_NAME);
    d.column = get(PG_DIAG_COLUMN_NAME);
    d.datatype = get(PG_DIAG_DATATYPE_NAME);
    d.constraint = get(PG_DIAG_CONSTRAINT_NAME);
    d.routine = get(PG_DIAG_SOURCE_FUNCTION);
    auto position = get(PG_DIAG_STATEMENT_POSITION);
    std::from_chars(position.data(), position.data() + position.size(), d.position);
    return d;
}

void throw_lost(diagnostics last_words, PGconn* conn, int backend_pid, std::string_view sql)
{
    std::string what = "connection lost (" + describe_peer(conn, backend_pid) + "): " + last_words.severity + " " +
                       std::string(last_words.sqlstate.str()) + ": " + shortened(last_words.message);
    throw connection_error(connection_failure::lost, what, std::move(last_words), sql);
}

void throw_result_error(const PGresult* result, PGconn* conn, int backend_pid, std::string_view sql, bool lost)
{
    auto d = read_diagnostics(result);
    if (d.sqlstate && !lost && !is_fatal(result)) {
        bool of_statement_cache = (d.sqlstate == sqlstates::invalid_sql_statement_name ||
                                   d.sqlstate == sqlstates::duplicate_prepared_statement) &&
                                  d.message.find(statement_cache::name_prefix) != std::string::npos;
        bool of_role = d.sqlstate == sqlstates::read_only_sql_transaction ||
                       d.sqlstate == sqlstates::feature_not_supported ||
                       d.sqlstate == sqlstates::object_not_in_prerequisite_state;
        bool by_standby = of_role && is_standby(conn);
        server_error e(std::move(d), sql, by_standby);
        if (of_statement_cache)
            e.add_note(
                "a statement prepared on this connection is not there, or another's is: behind a pooler in "
                "transaction mode, such as PgBouncer, set connection_options.pooler = transaction");
        throw e;
    }
    if (d.sqlstate) throw_lost(std::move(d), conn, backend_pid, sql);
    std::string what = "connection lost (" + describe_peer(conn, backend_pid) + "): " +
                       without_echo(as_told(result ? PQresultErrorMessage(result) : PQerrorMessage(conn)));
    throw connection_error(connection_failure::lost, what, std::move(d), sql);
}

connect_failure read_setup_failure(const PGresult* result, bool broken)
{
    connect_failure failure{connection_failure::lost, read_diagnostics(result), {}};
    auto& d = failure.diag;
    if (!d.sqlstate) {
        failure.message = without_echo(as_told(PQresultErrorMessage(result)));
        return failure;
    }
    failure.why = why_refused(d.sqlstate);
    // PgBouncer lets a login through, and has a server for the first statement only.
    if (d.sqlstate == sqlstate("08P01")) failure.why = why_refused_by_pooler(d.message);
    failure.message = shortened(d.message) + " (" + std::string(d.sqlstate.str()) + ")";
    if (!broken) failure.message = "the settings of the connection options were refused: " + failure.message;
    return failure;
}

connect_failure read_connect_failure(PGconn* conn, ConnStatusType reached, bool any_role, int error)
{
    auto text = error_text(conn);
    if (text.empty()) text = error != 0 ? std::generic_category().message(error) : "libpq does not say why";
    connect_failure failure{connection_failure::other, {}, shortened(reason_of(text))};
    if (auto said = parse_verbose(text); said.code) {
        failure.why = why_refused(said.code);
        failure.message = shortened(said.message) + " (" + std::string(said.code.str()) + ")";
        failure.diag.severity = said.severity;
        failure.diag.sqlstate = said.code;
        failure.diag.message = said.message;
        failure.diag.routine = said.routine;
        if (said.code == sqlstate("08P01")) {
            failure.why = why_refused_by_pooler(said.message);
            if (failure.why == connection_failure::options)
                failure.message +=
                    "; this is a pooler such as PgBouncer, not a server: set connection_options.pooler "
                    "to session or transaction, as its pool_mode is";
        }
        return failure;
    }
    // Logged in, which is when the server tells its version, and only then refused by libpq itself.
    if (!any_role && PQparameterStatus(conn, "server_version")) {
        failure.why = connection_failure::wrong_role;
        return failure;
    }
    switch (reached) {
    case CONNECTION_NEEDED:
    case CONNECTION_STARTED:
        failure.why = connection_failure::refused;
        break;
    case CONNECTION_SSL_STARTUP:
    case CONNECTION_GSS_STARTUP:
        failure.why = connection_failure::tls;
        break;
    default:
        if (PQconnectionNeedsPassword(conn))
            failure.why = connection_failure::authentication;
        else if (PQsslInUse(conn) && text.find(" alert ") != text.npos) // OpenSSL's, which nobody translates
            failure.why = connection_failure::tls;
        else
            failure.why = connection_failure::lost;
    }
    return failure;
}

} // namespace pgcoro::detail
