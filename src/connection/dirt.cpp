#include "connection/dirt.hpp"

#include "connection/statement_text.hpp"
#include "sql/script.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <pg_query.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace pgcoro::detail
{
namespace
{

namespace json = boost::json;
namespace kind = dirt_kind;

// Without one of these words there is no dirt, so that most statements need not be parsed.
struct telling_word
{
    std::string_view lower;
    std::uint8_t kinds;
    bool in_queries; // it tells also in SELECT, INSERT, UPDATE …; UPDATE says SET, and leaves nothing behind
};
constexpr std::array<telling_word, 8> telling_words{{
    {"set_config", kind::settings, true},
    {"set", kind::settings, false}, // RESET, too
    {"discard", kind::settings, false},
    {"listen", kind::listens, false},
    {"temp", kind::temporary, true},
    {"advisory", kind::advisory, true},
    {"hold", kind::cursors, false},
    {"prepare", kind::prepared, false},
}};

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool begins_with(std::string_view sql, std::string_view word) noexcept
{
    return std::ranges::equal(sql.substr(0, word.size()), word, {}, lower);
}

// An escape may spell a word that is not there otherwise: U&"s\0065t_config".
bool has_escaped_names(std::string_view sql) noexcept
{
    return sql.find("U&\"") != sql.npos || sql.find("u&\"") != sql.npos;
}

// By the words in it, wherever they stand.
std::uint8_t kinds_by_words(std::string_view sql) noexcept
{
    if (has_escaped_names(sql)) return kind::all;
    std::uint8_t found = 0;
    for (std::size_t i = 0; i < sql.size(); ++i) {
        auto first = lower(sql[i]);
        for (auto& word : telling_words) {
            if (word.lower[0] != first || (found & word.kinds) == word.kinds) continue;
            if (begins_with(sql.substr(i), word.lower)) found |= word.kinds;
        }
    }
    return found;
}

// Of one statement: those of `by_words` that it may really leave.
std::uint8_t kinds_of_statement(std::string_view sql, std::uint8_t by_words) noexcept
{
    auto statement = sql::from_first_word(sql);
    if (!is_plain_statement(statement) || has_escaped_names(statement)) return by_words;
    std::uint8_t found = 0;
    for (auto& word : telling_words) {
        if (!word.in_queries || !(by_words & word.kinds)) continue;
        auto there = std::ranges::search(statement, word.lower, {}, lower);
        if (!there.empty()) found |= word.kinds;
    }
    return found;
}

const json::value* member(const json::value& of, std::string_view name)
{
    return of.is_object() ? of.get_object().if_contains(name) : nullptr;
}
std::string_view text(const json::value* v)
{
    return v && v->is_string() ? std::string_view(v->get_string()) : std::string_view();
}
bool is_true(const json::value* v) { return v && v->is_bool() && v->get_bool(); }

// The name in a node String, whose member is called differently by the versions of the parser.
std::string_view string_of(const json::value& node)
{
    auto* s = member(node, "String");
    return s && s->is_object() && !s->get_object().empty() ? text(&s->get_object().begin()->value())
                                                           : std::string_view();
}

// Is it this literal?
bool is_constant(const json::value& node, bool value)
{
    auto* constant = member(node, "A_Const");
    auto* boolean = constant ? member(*constant, "boolval") : nullptr;
    return boolean && is_true(member(*boolean, "boolval")) == value;
}

void add_call(const json::value& call, dirt& found)
{
    auto* names = member(call, "funcname");
    if (!names || !names->is_array() || names->get_array().empty()) return;
    auto name = string_of(names->get_array().back());
    if (name == "pg_advisory_lock" || name == "pg_advisory_lock_shared" || name == "pg_try_advisory_lock" ||
        name == "pg_try_advisory_lock_shared")
        found.seen |= kind::advisory;
    if (name != "set_config") return;
    auto* args = member(call, "args");
    if (!args || !args->is_array() || args->get_array().size() != 3) return;
    auto& is_local = args->get_array()[2];
    if (is_constant(is_local, true)) return;
    (is_constant(is_local, false) ? found.seen : found.suspected) |= kind::settings;
}

// What may stand anywhere: calls, and what is temporary.
void walk(const json::value& node, dirt& found)
{
    if (node.is_array()) {
        for (auto& each : node.get_array()) walk(each, found);
    } else if (node.is_object()) {
        auto& object = node.get_object();
        if (auto* call = object.if_contains("FuncCall")) add_call(*call, found);
        bool dropped = text(object.if_contains("oncommit")) == "ONCOMMIT_DROP" ||
                       text(object.if_contains("onCommit")) == "ONCOMMIT_DROP";
        for (auto& [name, value] : object) {
            if (dropped && (name == "relation" || name == "rel")) continue;
            if (name == "relpersistence" && text(&value) == "t") found.seen |= kind::temporary;
            walk(value, found);
        }
    } else if (text(&node) == "pg_temp") {
        found.suspected |= kind::temporary;
    }
}

void add_statement(const json::value& statement, dirt& found, std::uint8_t by_words)
{
    constexpr std::int64_t cursor_opt_hold = 0x20;
    if (auto* set = member(statement, "VariableSetStmt")) {
        bool of_transaction =
            is_true(member(*set, "is_local")) || text(member(*set, "name")).starts_with("TRANSACTION");
        if (!of_transaction) found.seen |= kind::settings;
    } else if (member(statement, "ListenStmt")) {
        found.seen |= kind::listens;
    } else if (auto* cursor = member(statement, "DeclareCursorStmt")) {
        auto* options = member(*cursor, "options");
        if (options && options->is_int64() && (options->get_int64() & cursor_opt_hold))
            found.seen |= kind::cursors;
    } else if (member(statement, "PrepareStmt")) {
        found.seen |= kind::prepared;
    } else if (member(statement, "DiscardStmt")) {
        found.seen |= kind::settings; // those that every session of ours starts with are gone
    } else if (member(statement, "DoStmt")) {
        found.suspected |= by_words;
    }
    walk(statement, found);
}

std::optional<json::value> parse(std::string_view sql)
{
    auto parsed = pg_query_parse(std::string(sql).c_str());
    std::unique_ptr<PgQueryParseResult, void (*)(PgQueryParseResult*)> owner(
        &parsed, [](PgQueryParseResult* p) { pg_query_free_parse_result(*p); });
    if (parsed.error) return std::nullopt;
    json::parse_options deep;
    deep.max_depth = 2000;
    json::error_code ec;
    auto tree = json::parse(parsed.parse_tree, ec, {}, deep);
    if (ec) return std::nullopt;
    return tree;
}

// What does not fit `budget`, in bytes, is not parsed, and suspected.
void add_parsed(std::string_view sql, std::uint8_t by_words, std::size_t& budget, dirt& found)
{
    bool fits = sql.size() <= budget;
    budget -= fits ? sql.size() : 0;
    auto tree = fits ? parse(sql) : std::nullopt;
    auto* statements = tree ? member(*tree, "stmts") : nullptr;
    if (!statements || !statements->is_array()) {
        found.suspected |= by_words;
        return;
    }
    for (auto& each : statements->get_array())
        if (auto* statement = member(each, "stmt")) add_statement(*statement, found, by_words);
}

} // namespace

dirt dirt_of(std::string_view sql)
{
    constexpr std::size_t longest = 256 * 1024;
    dirt found;
    auto by_words = kinds_by_words(sql);
    if (!by_words) return found;
    if (sql.size() > longest) {
        found.suspected = by_words;
        return found;
    }
    std::vector<std::string_view> statements{sql};
    if (sql.find(';') != sql.npos) statements = sql::split_by_scanner(sql);
    if (statements.empty()) found.suspected = by_words;
    // The parser, and the tree that it returns as JSON, take a millisecond for some 2,000 bytes, in which nothing else
    // happens on the thread.
    std::size_t budget = 4096;
    for (auto each : statements)
        if (auto kinds = kinds_of_statement(each, by_words)) add_parsed(each, kinds, budget, found);
    return found;
}

std::vector<std::string> statements_of(std::string_view script)
{
    auto found = sql::split_by_parser(script);
    return {found.begin(), found.end()};
}

dirt dirt_memory::of(std::string_view sql)
{
    constexpr std::size_t most = 256;
    constexpr std::size_t longest = 4096;
    if (!kinds_by_words(sql)) return {};
    if (auto it = known_.find(sql); it != known_.end()) return it->second;
    auto found = dirt_of(sql);
    if (sql.size() > longest) return found;
    if (known_.size() == most) known_.clear();
    known_.emplace(sql, found);
    return found;
}

std::string_view name_of_dirt(std::uint8_t kinds) noexcept
{
    if (kinds & kind::settings) return "SET (or set_config) for the session";
    if (kinds & kind::listens) return "LISTEN";
    if (kinds & kind::temporary) return "a temporary table, view or sequence";
    if (kinds & kind::advisory) return "an advisory lock of the session";
    if (kinds & kind::cursors) return "a cursor WITH HOLD";
    return "PREPARE";
}

std::string_view instead_of_dirt(std::uint8_t kinds) noexcept
{
    if (kinds & kind::settings) return "use SET LOCAL in a transaction, or ALTER ROLE … SET";
    if (kinds & kind::listens) return "connect to the server itself for it";
    if (kinds & kind::temporary) return "use ON COMMIT DROP, in a transaction";
    if (kinds & kind::advisory) return "use pg_advisory_xact_lock in a transaction";
    if (kinds & kind::cursors) return "use stream()";
    return "use parameters, which need no PREPARE";
}

} // namespace pgcoro::detail
