#include "multiplexer/transaction_control.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace pgcoro::detail
{

namespace
{

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool continues_word(char c) noexcept
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           static_cast<unsigned char>(c) >= 0x80;
}

// Comments of this kind nest.
void skip_block_comment(std::string_view& text) noexcept
{
    std::size_t depth = 0;
    do {
        if (text.starts_with("/*"))
            ++depth, text.remove_prefix(2);
        else if (text.starts_with("*/"))
            --depth, text.remove_prefix(2);
        else
            text.remove_prefix(1);
    } while (depth > 0 && !text.empty());
}

// White space and comments; empty statements, too, which the server ignores.
void skip_blank(std::string_view& text) noexcept
{
    constexpr std::string_view blank = " \t\n\r\f\v;";
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(blank), text.size()));
        if (text.starts_with("--"))
            text.remove_prefix(std::min(text.find_first_of("\n\r"), text.size()));
        else if (text.starts_with("/*"))
            skip_block_comment(text);
        else
            return;
    }
}

// The next word, if it is one that keywords are made of.
std::string_view take_word(std::string_view& text) noexcept
{
    skip_blank(text);
    std::size_t length = 0;
    while (length < text.size() && continues_word(text[length])) ++length;
    auto word = text.substr(0, length);
    text.remove_prefix(length);
    return word;
}

bool is_keyword(std::string_view word, std::string_view upper) noexcept
{
    return std::ranges::equal(word, upper, [](char a, char b) {
        return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
    });
}

} // namespace

std::string_view transaction_control(std::string_view sql) noexcept
{
    static constexpr std::array<std::string_view, 8> commands{"BEGIN",    "START", "COMMIT",    "END",
                                                              "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"};
    auto first = take_word(sql);
    if (is_keyword(first, "PREPARE"))
        return is_keyword(take_word(sql), "TRANSACTION") ? "PREPARE TRANSACTION" : std::string_view();
    auto found = std::ranges::find_if(commands, [&](auto command) { return is_keyword(first, command); });
    if (found == commands.end()) return {};
    bool two_phase = *found == "COMMIT" || *found == "ROLLBACK";
    return two_phase && is_keyword(take_word(sql), "PREPARED") ? std::string_view() : *found;
}

} // namespace pgcoro::detail
