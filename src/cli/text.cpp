#include "cli/text.hpp"

#include <cmath>
#include <cstdio>

namespace pgcoro::cli
{

namespace
{

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

std::size_t characters(std::string_view text)
{
    std::size_t n = 0;
    for (char byte : text) n += !continues(byte);
    return n;
}

} // namespace

std::string fixed(double value, int digits)
{
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

std::string grouped(long long value)
{
    auto digits = std::to_string(value < 0 ? -value : value);
    for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
        digits.insert(static_cast<std::size_t>(at), 1, ',');
    return (value < 0 ? "-" : "") + digits;
}

std::string duration(double seconds)
{
    if (seconds == 0) return "0 ms";
    if (seconds < 1) return fixed(seconds * 1'000, seconds < 0.1 ? 2 : 0) + " ms";
    if (seconds < 60) return fixed(seconds, 1) + " s";
    auto whole = static_cast<long long>(std::llround(seconds));
    auto two = [](long long more, const char* unit, long long less, const char* lesser) {
        return std::to_string(more) + unit + (less ? " " + std::to_string(less) + lesser : "");
    };
    if (whole < 3'600) return two(whole / 60, " min", whole % 60, " s");
    if (whole < 86'400) return two(whole / 3'600, " h", whole % 3'600 / 60, " min");
    return two(whole / 86'400, " d", whole % 86'400 / 3'600, " h");
}

std::string padded(std::string_view text, std::size_t width)
{
    std::string made(text);
    auto n = characters(text);
    if (n < width) made.append(width - n, ' ');
    return made;
}

std::string shortened(std::string_view text, std::size_t most)
{
    std::string line;
    for (char byte : text) { // a statement's line breaks and indentation become single spaces
        bool space = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
        if (!space)
            line += byte;
        else if (!line.empty() && line.back() != ' ')
            line += ' ';
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    if (characters(line) <= most || most == 0) return line;
    std::size_t at = 0;
    for (std::size_t n = 0; at < line.size(); ++at)
        if (!continues(line[at]) && ++n == most) break;
    return line.substr(0, at) + "…";
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

} // namespace pgcoro::cli
