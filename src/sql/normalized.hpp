// A statement's text as it may be shown: without its constants and comments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgcoro::sql
{

struct normalized
{
    // The statement with $1 … in place of every constant, numbered behind the statement's own parameters.
    std::string text;
    // The same number for statements that differ in constants, spaces and comments only.
    std::uint64_t id = 0;
};

// A constant is every literal of any kind of statement, and every other word that the grammar takes for a
// value, such as the last one of SET x TO y. Returns nothing if PostgreSQL 15's parser does not understand
// the text, if its tree is too deep, or if a server with standard_conforming_strings = off could read the
// text in another way.
std::optional<normalized> normalize(std::string_view text);

// Returns normalize(text)->text, or an empty string if normalize() returns nothing.
std::string without_constants(std::string_view text);

} // namespace pgcoro::sql
