// The texts of servers and callers in messages: enough to recognise them, whatever their size.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// The most bytes that a message has of a statement, of another text, and of a message that it repeats.
inline constexpr std::size_t longest_statement = 500;
inline constexpr std::size_t longest_text = 2'000;
inline constexpr std::size_t longest_message = 8'000;

// Returns `text`. If it has more than `most` bytes, returns its beginning, cut between two UTF-8 characters, and its size:
// "select … (20000000 bytes)".
inline std::string shortened(std::string_view text, std::size_t most = longest_text)
{
    if (text.size() <= most) return std::string(text);
    auto cut = most;
    auto in_character = [&] { return (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80; };
    for (std::size_t back = 0; back < 3 && cut > 0 && in_character(); ++back) --cut; // a character has 4 bytes at most
    return std::string(text.substr(0, cut)) + " … (" + std::to_string(text.size()) + " bytes)";
}

} // namespace pgcoro::detail
