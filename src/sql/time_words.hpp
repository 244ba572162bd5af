// The words by which a constant of a date or time type depends on the clock: now, today, tomorrow and yesterday.
// PostgreSQL replaces such a constant by a point in time when it parses the statement, and not each time it runs it.
#pragma once

#include <string_view>

namespace pgcoro::sql
{

// Returns true if the input function of a date or time type, or of a range, an array or a composite of them, could find
// one of these words in the value: ' Now ', 'today 10:00', '[yesterday,now)', '{n\ow}'. Letter case is ignored. A word
// within a sentence counts, a part of a word ('snow') does not.
bool has_time_word(std::string_view value) noexcept;

// Returns true if a string constant of the statement could have such a value, whatever form it is written in, and
// whatever type it gets. Texts without any of these words cost about a nanosecond for each byte, all others PostgreSQL's
// scanner. In doubt it returns true: for U&'…', for escapes by number in E'…', and for a text that the scanner refuses.
// Assumes standard_conforming_strings = on.
bool has_time_constant(std::string_view text);

} // namespace pgcoro::sql
