#include "connection/statement_text.hpp"

#include "base/shortened.hpp"
#include "connection/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace pgcoro::detail
{

void check_text(std::string_view sql, std::size_t parameters)
{
    if (auto at = sql.find('\0'); at != sql.npos)
        throw std::invalid_argument("pgcoro: the SQL has a NUL character at position " +
                                    std::to_string(at + 1) + ": " + shortened(sql.substr(0, at), longest_statement));
    if (parameters == 0) return;
    std::size_t highest = 0;
    for (auto at = sql.find('$'); at != sql.npos; at = sql.find('$', at + 1)) {
        std::size_t n = 0;
        std::from_chars(sql.data() + at + 1, sql.data() + sql.size(), n);
        highest = std::max(highest, n);
    }
    if (parameters > highest)
        throw std::invalid_argument(
            "pgcoro: " + std::to_string(parameters) +
            (parameters == 1 ? " parameter was" : " parameters were") + " given, and the SQL mentions " +
            (highest == 0 ? std::string("none") : "none beyond $" + std::to_string(highest)) + ": " +
            shortened(sql, longest_statement));
}

std::string text_of(const companion& c)
{
    if (!c.args) return c.sql;
    std::string text;
    std::string_view sql = c.sql;
    while (!sql.empty()) {
        auto at = std::min(sql.find('$'), sql.size());
        text.append(sql.substr(0, at));
        sql.remove_prefix(at);
        if (sql.empty()) break;
        std::size_t n = 0;
        auto end = std::from_chars(sql.data() + 1, sql.data() + sql.size(), n).ptr;
        sql.remove_prefix(static_cast<std::size_t>(end - sql.data()));
        auto& p = (*c.args)[n - 1];
        text.append(escaped_literal({c.args->data() + p.offset, static_cast<std::size_t>(p.size)}));
    }
    return text;
}

std::string text_before(const prologue& with)
{
    std::string text;
    for (auto& before : with.before) text.append(text_of(before)).append("; ");
    return text;
}

std::size_t line_of(std::string_view text, int position)
{
    if (position <= 0) return 0;
    std::size_t line = 1;
    int character = 1;
    for (char c : text) {
        if (character >= position) break;
        if (c == '\n') ++line;
        if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++character; // UTF-8: not the first of its bytes
    }
    return line;
}

bool is_plain_statement(std::string_view sql) noexcept
{
    static constexpr std::array<std::string_view, 8> words{"select", "insert", "update", "delete",
                                                           "merge",  "values", "table",  "with"};
    auto begin = sql.find_first_not_of(" \t\r\n\f\v(");
    if (begin == sql.npos) return false;
    sql.remove_prefix(begin);
    return std::ranges::any_of(words, [&](std::string_view word) {
        if (sql.size() <= word.size()) return false;
        auto next = static_cast<unsigned char>(sql[word.size()]);
        bool ends = !(next >= 0x80 || next == '_' || (next >= '0' && next <= '9') || (next >= 'a' && next <= 'z') ||
                      (next >= 'A' && next <= 'Z'));
        return ends && std::ranges::equal(sql.substr(0, word.size()), word, {},
                                          [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    });
}

} // namespace pgcoro::detail
