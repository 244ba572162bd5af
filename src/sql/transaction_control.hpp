// Statements that begin or end a transaction themselves, and statements whose effect leaves no transaction id.
#pragma once

#include <string_view>

namespace pgcoro::sql
{

enum class control {
    none,
    begins,    // BEGIN, START TRANSACTION
    ends,      // COMMIT, END, ROLLBACK, ABORT, PREPARE TRANSACTION; with AND CHAIN, too
    savepoint, // SAVEPOINT, RELEASE, ROLLBACK TO
};

struct control_command
{
    control what = control::none;
    std::string_view name; // such as "ROLLBACK", in upper case
};

// What the text does to the transaction around it: its first statement, or a later one that begins or ends it. Costs some
// nanoseconds: PostgreSQL's grammar tells these commands by their first words. Only a later statement that begins
// with one of these words costs a parse, because it may stand in a literal. COMMIT PREPARED and ROLLBACK PREPARED are
// none.
control_command transaction_control(std::string_view text);

// Throws std::logic_error if the text is such a command, or has one: statements through `what` ("a pool") have no connection
// in common.
void refuse_transaction_control(std::string_view text, std::string_view what);

// Does the text mention NOTIFY, or pg_notify? It may do so in a literal.
bool mentions_notify(std::string_view text) noexcept;

// Does the text mention the setting synchronous_commit? It may do so in a literal.
bool mentions_synchronous_commit(std::string_view text) noexcept;

} // namespace pgcoro::sql
