#include "sql/normalized.hpp"

#include "sql/statement.hpp"
#include "sql/tokens.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <unordered_set>
#include <vector>

#include <pg_query.h>

namespace pgcoro::sql
{

namespace json = boost::json;

namespace
{

constexpr std::size_t deepest_shown = 2'000; // the walk below takes stack for each level

// Where the parser found constants: byte offsets of the token that each begins with.
struct constants
{
    std::unordered_set<std::size_t> at;
    bool queries_only = true; // SELECT, INSERT, UPDATE, DELETE and MERGE
};

void collect(const json::value& v, std::unordered_set<std::size_t>& at)
{
    if (auto* list = v.if_array()) {
        for (auto& each : *list) collect(each, at);
        return;
    }
    auto* object = v.if_object();
    if (!object) return;
    for (auto& [key, below] : *object) {
        auto* constant = key == "A_Const" ? below.if_object() : nullptr;
        auto* location = constant ? constant->if_contains("location") : nullptr;
        if (location && location->is_int64() && location->get_int64() >= 0)
            at.insert(static_cast<std::size_t>(location->get_int64()));
        collect(below, at);
    }
}

std::optional<constants> constants_of(const std::string& text)
{
    struct parsed
    {
        explicit parsed(const std::string& text)
            : got(pg_query_parse(text.c_str()))
        {}
        parsed(const parsed&) = delete;
        ~parsed() { pg_query_free_parse_result(got); }
        PgQueryParseResult got;
    } tree(text);
    if (tree.got.error || !tree.got.parse_tree) return std::nullopt;
    json::parse_options options;
    options.max_depth = deepest_shown;
    boost::system::error_code failed;
    auto root = json::parse(tree.got.parse_tree, failed, {}, options);
    if (failed || !root.is_object()) return std::nullopt;
    constants found;
    collect(root, found.at);
    static constexpr std::array<std::string_view, 5> queries{"SelectStmt", "InsertStmt", "UpdateStmt",
                                                             "DeleteStmt", "MergeStmt"};
    auto* statements = root.get_object().if_contains("stmts");
    if (!statements || !statements->is_array()) return std::nullopt;
    for (auto& each : statements->get_array()) {
        auto* one = each.is_object() ? each.get_object().if_contains("stmt") : nullptr;
        if (!one || !one->is_object()) return std::nullopt;
        found.queries_only =
            found.queries_only && std::any_of(queries.begin(), queries.end(),
                                              [&](auto kind) { return one->get_object().contains(kind); });
    }
    return found;
}

bool is_boolean_or_null(std::string_view token)
{
    auto is = [&](std::string_view word) {
        return std::equal(token.begin(), token.end(), word.begin(), word.end(),
                          [](char a, char b) { return (a | 0x20) == b; });
    };
    return is("true") || is("false") || is("null");
}

// Where standard_conforming_strings is off, the quote behind a backslash does not end '…'.
bool is_ambiguous(std::string_view token) { return token.front() == '\'' && token.find("\\'") != token.npos; }

std::size_t greatest_parameter(const std::string& text, const std::vector<token>& tokens)
{
    std::size_t greatest = 0;
    for (auto& t : tokens) {
        std::size_t n = 0;
        if (text[t.begin] != '$') continue;
        for (auto at = t.begin + 1; at < text.size() && is_digit(text[at]) && n < 100'000; ++at)
            n = 10 * n + static_cast<std::size_t>(text[at] - '0');
        greatest = std::max(greatest, n);
    }
    return greatest;
}

// Copies the tokens that are shown, with the spaces between them.
std::optional<std::string> replace_constants(const std::string& text, const constants& found)
{
    auto tokens = tokens_of(text);
    if (!tokens) return std::nullopt;
    for (auto& t : *tokens)
        if (t.begin >= text.size()) return std::nullopt;
    auto next_parameter = greatest_parameter(text, *tokens) + 1;
    std::string shown;
    for (std::size_t i = 0; i < tokens->size(); ++i) {
        auto& t = (*tokens)[i];
        auto next = i + 1 < tokens->size() ? (*tokens)[i + 1].begin : text.size();
        if (next <= t.begin) return std::nullopt;
        auto end = next;
        while (end > t.begin + 1 && is_space(text[end - 1])) --end;
        auto word = std::string_view(text).substr(t.begin, end - t.begin);
        auto gap = std::string_view(text).substr(end, next - end);
        bool constant = found.at.contains(t.begin);
        if (is_ambiguous(word)) return std::nullopt;
        if (is_comment(word)) {
            if (!shown.empty() && !is_space(shown.back())) shown += ' ';
            continue;
        }
        if (constant && (word == "-" || word == "+")) continue; // the number's sign
        if (is_literal(word) || (constant && (!t.keyword || is_boolean_or_null(word))))
            shown += '$' + std::to_string(next_parameter++);
        else
            shown += word;
        shown += gap;
    }
    while (!shown.empty() && is_space(shown.back())) shown.pop_back();
    return shown;
}

// FNV-1a. The text holds no constants, so that the number says nothing of them either.
std::uint64_t hash_of(std::string_view text)
{
    std::uint64_t hash = 0xcbf29ce484222325;
    for (char c : text) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3;
    }
    return hash;
}

} // namespace

std::optional<normalized> normalize(std::string_view text)
{
    if (text.find('\0') != text.npos) return std::nullopt;
    std::string whole(text);
    auto found = constants_of(whole);
    if (!found) return std::nullopt;
    auto shown = replace_constants(whole, *found);
    if (!shown) return std::nullopt;
    normalized n;
    // libpg_query's fingerprint leaves the constants of queries out, but not those of other statements.
    auto fingerprint = found->queries_only ? sql::fingerprint(text) : std::nullopt;
    n.id = fingerprint ? *fingerprint : hash_of(*shown);
    n.text = std::move(*shown);
    return n;
}

std::string without_constants(std::string_view text)
{
    auto n = normalize(text);
    return n ? std::move(n->text) : std::string();
}

} // namespace pgcoro::sql
