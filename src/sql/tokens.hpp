// The tokens of a text, by PostgreSQL's scanner.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::sql
{

struct token
{
    std::size_t begin = 0;
    bool keyword = false;
};

// Returns the tokens in their order, comments among them; nothing if the scanner refuses the text. A constant that goes on
// in the next line ('no' new line 'w') is one token.
std::optional<std::vector<token>> tokens_of(const std::string& text);

// Returns true if a token's text is a number or a string constant.
bool is_literal(std::string_view token);
bool is_comment(std::string_view token) noexcept;

bool is_digit(char c) noexcept;
bool is_space(char c) noexcept;

} // namespace pgcoro::sql
