#include "sql/transaction_control.hpp"

#include "sql/script.hpp"

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

// The word that the text begins with, if it is one that keywords are made of.
std::string_view word_of(std::string_view text) noexcept
{
    std::size_t length = 0;
    while (length < text.size() && continues_word(text[length])) ++length;
    return text.substr(0, length);
}

std::string_view take_word(std::string_view& text) noexcept
{
    text = from_first_word(text);
    auto word = word_of(text);
    text.remove_prefix(word.size());
    return word;
}

struct first_word
{
    std::string_view word;
    control_command is;
};

const first_word* find_word(std::string_view word) noexcept
{
    static constexpr std::array<first_word, 9> all{{{"begin", {control::begins, "BEGIN"}},
                                                    {"start", {control::begins, "START TRANSACTION"}},
                                                    {"commit", {control::ends, "COMMIT"}},
                                                    {"end", {control::ends, "END"}},
                                                    {"rollback", {control::ends, "ROLLBACK"}},
                                                    {"abort", {control::ends, "ABORT"}},
                                                    {"prepare", {control::ends, "PREPARE TRANSACTION"}},
                                                    {"savepoint", {control::savepoint, "SAVEPOINT"}},
                                                    {"release", {control::savepoint, "RELEASE"}}}};
    auto* found = std::ranges::find_if(all, [&](const first_word& k) { return equals(word, k.word); });
    return found == all.end() ? nullptr : found;
}

// Could a later statement of the text begin or end a transaction? Takes time in proportion to the text, whatever is in it:
// only white space is skipped behind a semicolon, and a comment there counts as yes.
bool may_control_later(std::string_view text) noexcept
{
    for (auto at = text.find(';'); at != text.npos; at = text.find(';')) {
        text.remove_prefix(at);
        text.remove_prefix(std::min(text.find_first_not_of(" \t\n\r\f\v;"), text.size()));
        if (text.starts_with("--") || text.starts_with("/*")) return true;
        auto* found = find_word(word_of(text));
        if (found && found->is.what != control::savepoint) return true;
    }
    return false;
}

control_command command_at(std::string_view text) noexcept
{
    auto* found = find_word(take_word(text));
    if (!found) return {};
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

// Texts have few of the letter at `rare`, and the library finds a single one fast.
bool mentions(std::string_view text, std::string_view word, std::size_t rare) noexcept
{
    for (char letter : {word[rare], static_cast<char>(word[rare] & ~0x20)})
        for (auto at = text.find(letter, rare); at != text.npos; at = text.find(letter, at + 1))
            if (equals(text.substr(at - rare, word.size()), word)) return true;
    return false;
}

bool begins_or_ends(std::string_view statement) noexcept
{
    auto what = command_at(statement).what;
    return what == control::begins || what == control::ends;
}

} // namespace

control_command transaction_control(std::string_view text)
{
    auto first = command_at(text);
    if (first.what == control::ends || !may_control_later(text)) return first;
    // Mostly a literal, or a comment, which the scanner tells sooner than the parser.
    if (std::ranges::none_of(split_by_scanner(text), begins_or_ends)) return first;
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

bool mentions_notify(std::string_view text) noexcept { return mentions(text, "notify", 4); }

bool mentions_synchronous_commit(std::string_view text) noexcept { return mentions(text, "synchronous_commit", 1); }

} // namespace pgcoro::sql
