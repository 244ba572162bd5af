#include "cli/terminal.hpp"

#include "observe/json_text.hpp"
#include "observe/utf8.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace pgcoro::cli
{

namespace
{

bool is_obeyed(char32_t c)
{
    bool control = c < 0x20 || (c >= 0x7F && c <= 0x9F);
    bool direction = c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
                     (c >= 0x2066 && c <= 0x2069);
    bool separator = c == 0x2028 || c == 0x2029;
    return control || direction || separator;
}

// Copies a text with something else for each character that a terminal obeys.
template <class Replace>
std::string without_obeyed(std::string_view text, Replace replace)
{
    std::string made;
    made.reserve(text.size());
    while (!text.empty()) {
        auto c = detail::decode_utf8(text);
        if (!c.valid)
            made += "\xEF\xBF\xBD";
        else if (is_obeyed(c.number))
            made += replace(c.number);
        else
            made += text.substr(0, c.bytes);
        text.remove_prefix(c.bytes);
    }
    return made;
}

bool wants_colors(std::string_view when, int descriptor)
{
    if (when != "auto") return when == "always";
    auto* none = std::getenv("NO_COLOR");
    auto* term = std::getenv("TERM");
    return ::isatty(descriptor) && !(none && *none) && term && std::string_view(term) != "dumb";
}

} // namespace

text_line& text_line::operator+=(const text_line& more)
{
    for (auto& p : more.pieces_) add(p);
    return *this;
}

std::string text_line::plain() const
{
    std::string text;
    for (auto& p : pieces_) text += p.text;
    return text;
}

void text_line::add(piece p)
{
    bool joins = !pieces_.empty() && pieces_.back().painted == p.painted;
    if (joins)
        pieces_.back().text += p.text;
    else
        pieces_.push_back(std::move(p));
}

std::string cleaned(std::string_view text)
{
    return without_obeyed(text, [](char32_t) { return "?"; });
}

terminal::terminal(std::ostream& out, std::string_view when, int descriptor)
    : out_(out)
    , colors_(wants_colors(when, descriptor))
{}

std::string terminal::rendered(const text_line& text) const
{
    static constexpr const char* codes[] = {"31", "32", "33", "36", "1", "2"};
    std::string made;
    for (auto& p : text.pieces_) {
        bool colored = colors_ && p.painted;
        if (colored) made += std::string("\x1b[") + codes[static_cast<int>(*p.painted)] + "m";
        made += cleaned(p.text);
        if (colored) made += "\x1b[0m";
    }
    return made;
}

void terminal::write(const text_line& text) { out_ << rendered(text) << std::endl; }

void terminal::write(const std::vector<text_line>& all)
{
    for (auto& each : all) write(each);
}

void terminal::write_lines(std::string_view text)
{
    for (;;) {
        auto end = text.find('\n');
        write(text.substr(0, end));
        if (end == text.npos) return;
        text.remove_prefix(end + 1);
    }
}

void terminal::write_json(const boost::json::value& v)
{
    // Outside of strings there are no such characters, and within one an escape means the same.
    out_ << without_obeyed(detail::json_text(v), [](char32_t c) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
        return std::string(escape);
    }) << std::endl;
}

void terminal::enter_screen() { out_ << "\x1b[?1049h\x1b[?25l\x1b[2J" << std::flush; }
void terminal::leave_screen() { out_ << "\x1b[?25h\x1b[?1049l" << std::flush; }

void terminal::draw(const std::vector<text_line>& all)
{
    out_ << "\x1b[H";
    for (std::size_t i = 0; i < all.size(); ++i) out_ << (i ? "\r\n" : "") << rendered(all[i]) << "\x1b[K";
    out_ << "\x1b[J" << std::flush;
}

} // namespace pgcoro::cli
