// What libpq knows of an error, as the layer's own errors.
#pragma once

#include <pgcoro/error/error.hpp>

#include <libpq-fe.h>

#include <string>
#include <string_view>

namespace pgcoro::detail
{

sqlstate code_of(const PGresult* error);

// The session ends with such an error, whatever else was asked of it.
bool is_fatal(const PGresult* error);

// The server's warning that a commit is not on the synchronous standby: "canceling wait for synchronous replication".
bool is_unreplicated_commit(const PGresult* notice);

// The server no longer has a statement that the session prepared, or can no longer use it. "Cached plan must not change
// result type" is recognised by the routine, because the message is translated. An unknown name is recognised by the
// session's prefix in the message: other names are the user's, whose EXECUTE or DEALLOCATE failed.
bool is_lost_statement(sqlstate code, std::string_view routine, std::string_view message) noexcept;

// The bytes that a notice had on its way.
std::size_t size_of_notice(const PGresult* notice) noexcept;

// All fields of an error or notice result.
diagnostics read_diagnostics(const PGresult* result);

// Is this a code by which a server tells that a statement, prepared earlier, no longer fits the tables and types that it
// uses? The same codes may be the statement's own.
bool may_be_stale_statement(sqlstate code) noexcept;

// The error that a failed result stands for: server_error, or connection_error when the connection is lost, which the
// server may have said, or may have done behind an error that does not say so.
[[noreturn]] void throw_result_error(const PGresult* result, PGconn* conn, int backend_pid,
                                     std::string_view sql, bool lost);

// connection_error: the connection is lost, and these were the server's last words.
[[noreturn]] void throw_lost(diagnostics last_words, PGconn* conn, int backend_pid, std::string_view sql);

// Why an attempt to connect failed: by SQLSTATE where the server said one, else by how far it had come.
struct connect_failure
{
    connection_failure why;
    diagnostics diag;
    std::string message;
};
// `reached` is the last status before the failure; `any_role`: no target_session_attrs were asked for; `error`: errno after
// libpq's call, because libpq 17 has no message for the lack of a descriptor.
connect_failure read_connect_failure(PGconn* conn, ConnStatusType reached, bool any_role, int error);
// Why the statement that makes the settings of a new session failed.
connect_failure read_setup_failure(const PGresult* result, bool broken);

// COMMIT was answered with ROLLBACK, which the server does not call an error.
[[noreturn]] void throw_rolled_back();

// libpq's error text without its trailing line feed.
std::string error_text(PGconn* conn);
// A message of libpq's, without its line end.
std::string as_told(const char* message);

// "db on host port 5432, server process 4711"
std::string describe_peer(PGconn* conn, int backend_pid);

} // namespace pgcoro::detail
