// What is known of a statement from its text alone.
#pragma once

#include <pgcoro/connection/host.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// Refuses what the server would not: libpq would end the text at a NUL, and a parameter that the text never
// mentions passes unseen when its type is known. Every $n is counted, also in a literal or a comment, where
// it is none: a surplus may go unnoticed then, but nothing right is refused.
void check_text(std::string_view sql, std::size_t parameters);

// The line of a position that is counted in characters from 1; 0 when there is none.
std::size_t line_of(std::string_view text, int position);

// True for SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE and WITH: statements that cannot commit a part of
// their work, as CALL and DO can, so that one that failed outside of a transaction has done nothing.
bool is_plain_statement(std::string_view sql) noexcept;

} // namespace pgcoro::detail
