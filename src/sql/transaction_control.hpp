// Statements that begin or end a transaction themselves, and statements whose effect leaves no transaction id.
#pragma once

#include <string_view>

namespace pgcoro::sql
{

enum class control {
    none,
    begins, // BEGIN, START TRANSACTION
    ends,   // COMMIT, END, ROLLBACK, ABORT, PREPARE TRANSACTION; with AND CHAIN, too
};

// What the text, or one of its statements, does to the transaction around it. By PostgreSQL's parser, which is asked
// only where a statement begins with one of these words: some nanoseconds for any other text. SAVEPOINT, RELEASE,
// ROLLBACK TO, COMMIT PREPARED and ROLLBACK PREPARED are none.
control transaction_control(std::string_view text);

// Does the text mention NOTIFY, or pg_notify? It may do so in a literal.
bool mentions_notify(std::string_view text) noexcept;

} // namespace pgcoro::sql
