// Texts of several statements, taken apart by PostgreSQL's lexical rules.
#pragma once

#include <string_view>
#include <vector>

namespace pgcoro::sql
{

// Returns the text from its first word on, behind white space, comments and empty statements; empty if there is none.
std::string_view from_first_word(std::string_view text) noexcept;

// Return the statements of a text, by PostgreSQL's scanner or its parser; nothing if it refuses the text. The scanner takes a
// microsecond for some 60 bytes, and also takes apart the body of a function in SQL.
std::vector<std::string_view> split_by_scanner(std::string_view script);
std::vector<std::string_view> split_by_parser(std::string_view script);

} // namespace pgcoro::sql
