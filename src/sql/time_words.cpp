#include "sql/time_words.hpp"

#include "sql/script.hpp"
#include "sql/tokens.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace pgcoro::sql
{

namespace
{

constexpr std::array<std::string_view, 4> time_words{"now", "today", "tomorrow", "yesterday"};

char folded(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
bool is_letter(char c) noexcept { return folded(c) >= 'a' && folded(c) <= 'z'; }

// Arrays, ranges and composites drop these from their elements.
bool is_dropped(char c) noexcept { return c == '"' || c == '\\'; }

bool ends_with(std::string_view value, std::string_view word) noexcept
{
    for (; !word.empty(); value.remove_suffix(1)) {
        if (value.empty()) return false;
        if (folded(value.back()) == word.back())
            word.remove_suffix(1);
        else if (!is_dropped(value.back()))
            return false;
    }
    return value.empty() || !is_letter(value.back());
}

// Skips what may stand between the parts of a constant; returns false if no further part follows.
bool take_continuation(std::string_view& text) noexcept
{
    auto rest = from_first_word(text);
    auto gap = text.substr(0, text.size() - rest.size());
    if (!rest.starts_with('\'') || gap.find_first_of("\n\r") == gap.npos) return false;
    text = rest.substr(1);
    return true;
}

// Could a constant of the text have several parts? Takes time in proportion to the text: a comment behind a quote counts.
bool has_continuation(std::string_view text) noexcept
{
    for (auto at = text.find('\''); at != text.npos; at = text.find('\'')) {
        text.remove_prefix(at + 1);
        auto gap = text.substr(0, text.find_first_not_of(" \t\n\r\f\v"));
        auto rest = text.substr(gap.size());
        if (rest.starts_with("--") || rest.starts_with("/*")) return true;
        if (rest.starts_with('\'') && gap.find_first_of("\n\r") != gap.npos) return true;
    }
    return false;
}

// Without a single one of these signs no constant of the text has a time word in it.
bool needs_scanner(std::string_view text) noexcept
{
    return has_time_word(text) || text.find('\\') != text.npos || text.find("&'") != text.npos || has_continuation(text);
}

bool is_number_escape(char c) noexcept { return is_digit(c) || folded(c) == 'x' || folded(c) == 'u'; }

// Returns the value of '…' or E'…' behind the first quote; nothing if it has escapes by number.
std::optional<std::string> value_of(std::string_view quoted, bool has_escapes)
{
    constexpr std::string_view control = "bfnrt";
    std::string value;
    while (!quoted.empty()) {
        char c = quoted.front();
        quoted.remove_prefix(1);
        if (c == '\'' && !quoted.starts_with('\'')) {
            if (!take_continuation(quoted)) break;
            continue;
        }
        bool escaped = (c == '\'' || (c == '\\' && has_escapes)) && !quoted.empty();
        if (escaped) {
            if (c == '\\' && is_number_escape(quoted.front())) return std::nullopt;
            c = c == '\\' && control.find(quoted.front()) != control.npos ? ' ' : quoted.front();
            quoted.remove_prefix(1);
        }
        value += c;
    }
    return value;
}

// `rest`: the text from this token on. A constant may go on behind a comment, which is a token for libpg_query.
bool is_time_constant(std::string_view token, std::string_view rest)
{
    if (is_comment(token) || !is_literal(token)) return false;
    if (token.front() == '$') return has_time_word(token);
    auto quote = token.find('\'');
    if (quote == token.npos) return false; // a number
    if (token.substr(0, quote).ends_with('&')) return true;
    auto value = value_of(rest.substr(quote + 1), folded(token.front()) == 'e');
    return !value || has_time_word(*value);
}

} // namespace

bool has_time_word(std::string_view value) noexcept
{
    for (std::size_t end = 1; end <= value.size(); ++end) {
        char last = folded(value[end - 1]);
        if ((last != 'w' && last != 'y') || (end < value.size() && is_letter(value[end]))) continue;
        auto found = [&](std::string_view word) { return ends_with(value.substr(0, end), word); };
        if (std::ranges::any_of(time_words, found)) return true;
    }
    return false;
}

bool has_time_constant(std::string_view text)
{
    if (!needs_scanner(text)) return false;
    auto tokens = tokens_of(std::string(text));
    if (!tokens) return true;
    for (std::size_t i = 0; i < tokens->size(); ++i) {
        auto begin = (*tokens)[i].begin;
        auto end = i + 1 < tokens->size() ? (*tokens)[i + 1].begin : text.size();
        if (begin >= end || end > text.size()) return true;
        if (is_time_constant(text.substr(begin, end - begin), text.substr(begin))) return true;
    }
    return false;
}

} // namespace pgcoro::sql
