#include "sql/transaction_control.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include <pg_query.h>

namespace pgcoro::sql
{
namespace
{

char lower_case(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
bool equals(std::string_view text, std::string_view lower) noexcept
{
    return text.size() == lower.size() && std::ranges::equal(text, lower, {}, lower_case);
}

bool continues_word(char c) noexcept
{
    return (lower_case(c) >= 'a' && lower_case(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
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

control_command command_at(std::string_view text) noexcept
{
    struct known
    {
        std::string_view word;
        control_command is;
    };
    static constexpr std::array<known, 9> all{{{"begin", {control::begins, "BEGIN"}},
                                               {"start", {control::begins, "START TRANSACTION"}},
                                               {"commit", {control::ends, "COMMIT"}},
                                               {"end", {control::ends, "END"}},
                                               {"rollback", {control::ends, "ROLLBACK"}},
                                               {"abort", {control::ends, "ABORT"}},
                                               {"prepare", {control::ends, "PREPARE TRANSACTION"}},
                                               {"savepoint", {control::savepoint, "SAVEPOINT"}},
                                               {"release", {control::savepoint, "RELEASE"}}}};
    auto first = take_word(text);
    auto found = std::ranges::find_if(all, [&](const known& k) { return equals(first, k.word); });
    if (found == all.end()) return {};
    if (found->word != "prepare" && found->word != "commit" && found->word != "rollback") return found->is;
    auto second = take_word(text);
    if (found->word == "prepare") return equals(second, "transaction") ? found->is : control_command();
    if (equals(second, "prepared")) return {};
    if (found->word == "rollback") {
        if (equals(second, "work") || equals(second, "transaction")) second = take_word(text);
        if (equals(second, "to")) return {control::savepoint, "ROLLBACK TO"};
    }
    return found->is;
}

} // namespace

control_command transaction_control(std::string_view text)
{
    auto first = command_at(text);
    bool suspected = false;
    for (auto at = text.find(';'); !suspected && at != text.npos; at = text.find(';', at + 1)) {
        auto what = command_at(text.substr(at + 1)).what;
        suspected = what == control::begins || what == control::ends;
    }
    if (!suspected || first.what == control::ends) return first;
    auto parsed = pg_query_parse(std::string(text).c_str());
    std::unique_ptr<PgQueryParseResult, void (*)(PgQueryParseResult*)> owner(
        &parsed, [](PgQueryParseResult* p) { pg_query_free_parse_result(*p); });
    if (parsed.error || !parsed.parse_tree) return first; // the server refuses it as well
    std::string_view tree = parsed.parse_tree;
    auto has = [&](const char* kind) {
        return tree.find("\"kind\":\"TRANS_STMT_" + std::string(kind) + '"') != tree.npos;
    };
    for (auto* kind : {"COMMIT", "ROLLBACK", "PREPARE"})
        if (has(kind)) return {control::ends, kind};
    // The first value of an enumeration may be left out.
    if (has("BEGIN") || has("START") || tree.find("\"TransactionStmt\":{}") != tree.npos)
        return {control::begins, "BEGIN"};
    return first;
}

void refuse_transaction_control(std::string_view text, std::string_view what)
{
    constexpr std::size_t longest_shown = 200;
    auto command = transaction_control(text);
    if (command.what == control::none) return;
    std::string message = "pgcoro: ";
    message.append(command.name)
        .append(" through ")
        .append(what)
        .append(", whose statements have no connection in common: use transactional(), or acquire() a lease; the statement "
                "was ")
        .append(text.substr(0, longest_shown));
    throw std::logic_error(message);
}

bool mentions_notify(std::string_view text) noexcept
{
    constexpr std::string_view word = "notify";
    constexpr std::size_t rare = 4; // texts have few of this letter, and the library finds a single one fast
    for (char f : {'f', 'F'})
        for (auto at = text.find(f, rare); at != text.npos; at = text.find(f, at + 1))
            if (equals(text.substr(at - rare, word.size()), word)) return true;
    return false;
}

} // namespace pgcoro::sql
