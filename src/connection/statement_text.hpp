// Facts about a statement that follow from its text alone.
#pragma once

#include <pgcoro/connection/host.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// Throws std::invalid_argument for mistakes that the server would not notice: a NUL, at which libpq would end the text, and
// parameters that the text does not mention. A $n in a literal or comment counts as a parameter, so that no correct text is
// refused.
void check_text(std::string_view sql, std::size_t parameters);

// Returns the line of a position, which is counted in characters from 1; 0 for position 0.
std::size_t line_of(std::string_view text, int position);

// Returns true for SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE and WITH. Unlike CALL and DO, these cannot commit
// a part of their work: one that failed outside of a transaction has had no effect.
bool is_plain_statement(std::string_view sql) noexcept;

// Returns the companion with its parameters in the text, for the simple protocol.
std::string text_of(const companion& c);

} // namespace pgcoro::detail
