// Statements that begin or end a transaction, by the words they start with.
#pragma once

#include <string_view>

namespace pgcoro::detail
{

// The command, such as "ROLLBACK", if `sql` is one that begins or ends a transaction or a savepoint, or that
// prepares a transaction for two-phase commit; empty if not. COMMIT PREPARED and ROLLBACK PREPARED do
// not count: they stand alone. PostgreSQL's grammar tells these commands by their first two words, so neither
// a parser nor its version matters.
std::string_view transaction_control(std::string_view sql) noexcept;

} // namespace pgcoro::detail
