/// What people read on a terminal: lines, and the one place that writes them.
#pragma once

#include <boost/json/value.hpp>

#include <concepts>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::cli
{

enum class color { red, green, yellow, cyan, bold, dim };

/// A line of pieces, some of them coloured. Names and texts of others go into it unchanged: only a `terminal`
/// makes bytes of it, and cleans them.
class text_line
{
public:
    text_line() = default;
    text_line(std::string text) { add({std::nullopt, std::move(text)}); }
    text_line(std::string_view text)
        : text_line(std::string(text))
    {}
    text_line(const char* text)
        : text_line(std::string(text))
    {}
    text_line(color c, std::string_view text) { add({c, std::string(text)}); }

    text_line& operator+=(const text_line& more);
    friend text_line operator+(text_line a, const text_line& b) { return std::move(a += b); }

    /// The text without colours, as it was given.
    std::string plain() const;

private:
    friend class terminal;
    struct piece
    {
        std::optional<color> painted;
        std::string text;
    };
    void add(piece p);

    std::vector<piece> pieces_;
};

inline text_line paint(color c, std::string_view text) { return {c, text}; }

/// Text without anything that a terminal obeys: "?" for control characters (C0, DEL, C1, line breaks among
/// them), for those that change the direction of writing and for line separators; U+FFFD for bytes that are
/// not UTF-8.
std::string cleaned(std::string_view text);

/// The one place where the command writes. Whatever a line holds, no other escape sequences than the colours'
/// reach the stream, and no line break but the one that ends the line.
class terminal
{
public:
    /// `when` to colour is "always", "never" or "auto": on a terminal that is not "dumb", unless NO_COLOR is
    /// set (no-color.org).
    terminal(std::ostream& out, std::string_view when, int descriptor);

    /// Writes a line.
    void write(const text_line& text);
    void write(const std::vector<text_line>& all);
    /// Writes each line of a text of several as a line.
    void write_lines(std::string_view text);
    /// Writes JSON in one line, with escapes in place of what a terminal obeys.
    void write_json(const boost::json::value& v);

    /// Takes and leaves the terminal's other screen; what was on it before is there again afterwards.
    void enter_screen();
    void leave_screen();
    /// Draws the other screen in place, without clearing it first, which flickers.
    void draw(const std::vector<text_line>& all);

private:
    std::string rendered(const text_line& text) const;

    std::ostream& out_;
    bool colors_;
};

} // namespace pgcoro::cli
