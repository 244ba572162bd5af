#include "sql/transaction_control.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include <pg_query.h>

namespace pgcoro::sql
{
namespace
{

char lower_case(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Behind spaces and comments.
std::string_view skip_to_word(std::string_view text) noexcept
{
    for (;;) {
        while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
        if (text.starts_with("--")) {
            text.remove_prefix(std::min(text.find('\n'), text.size()));
        } else if (text.starts_with("/*")) {
            std::size_t depth = 0;
            do {
                if (text.starts_with("/*"))
                    ++depth, text.remove_prefix(2);
                else if (text.starts_with("*/"))
                    --depth, text.remove_prefix(2);
                else
                    text.remove_prefix(1);
            } while (depth > 0 && !text.empty());
        } else {
            return text;
        }
    }
}

bool begins_with_control(std::string_view text) noexcept
{
    static constexpr std::array<std::string_view, 7> words{"begin", "start",    "commit", "end",
                                                           "abort", "rollback", "prepare"};
    text = skip_to_word(text);
    return std::ranges::any_of(words, [&](std::string_view word) {
        return text.size() >= word.size() && std::ranges::equal(text.substr(0, word.size()), word, {}, lower_case);
    });
}

} // namespace

control transaction_control(std::string_view text)
{
    bool suspected = begins_with_control(text);
    for (auto at = text.find(';'); !suspected && at != text.npos; at = text.find(';', at + 1))
        suspected = begins_with_control(text.substr(at + 1));
    if (!suspected) return control::none;
    auto parsed = pg_query_parse(std::string(text).c_str());
    std::unique_ptr<PgQueryParseResult, void (*)(PgQueryParseResult*)> owner(
        &parsed, [](PgQueryParseResult* p) { pg_query_free_parse_result(*p); });
    if (parsed.error || !parsed.parse_tree) return control::none; // the server refuses it as well
    std::string_view tree = parsed.parse_tree;
    auto has = [&](const char* kind) {
        return tree.find("\"kind\":\"TRANS_STMT_" + std::string(kind) + '"') != tree.npos;
    };
    if (has("COMMIT") || has("ROLLBACK") || has("PREPARE")) return control::ends;
    // The first value of an enumeration may be left out.
    return has("BEGIN") || has("START") || tree.find("\"TransactionStmt\":{}") != tree.npos ? control::begins
                                                                                            : control::none;
}

bool mentions_notify(std::string_view text) noexcept
{
    constexpr std::string_view word = "notify";
    for (std::size_t i = 0; i + word.size() <= text.size(); ++i)
        if (lower_case(text[i]) == 'n' && std::ranges::equal(text.substr(i, word.size()), word, {}, lower_case))
            return true;
    return false;
}

} // namespace pgcoro::sql
