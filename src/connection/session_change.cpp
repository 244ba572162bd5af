#include "connection/session_change.hpp"

#include "connection/statement_text.hpp"
#include "sql/script.hpp"
#include "sql/transaction_control.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <pg_query.h>

#include <algorithm>
#include <array>

namespace pgcoro::detail
{
namespace
{

namespace json = boost::json;
namespace kind = effect_kind;
using act = session_change::act;
using step = session_change::step;

// Without one of these words a query leaves nothing, so that most statements need not be parsed.
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
    {"temp", kind::temporary, true}, // pg_temp, too
    {"advisory", kind::advisory, true},
    {"hold", kind::cursors, false},
    {"prepare", kind::prepared, false},
}};

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
bool is_word_character(char c) noexcept
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

bool begins_with(std::string_view sql, std::string_view word) noexcept
{
    return std::ranges::equal(sql.substr(0, word.size()), word, {}, lower);
}
bool begins_with_word(std::string_view sql, std::string_view word) noexcept
{
    return begins_with(sql, word) && (sql.size() == word.size() || !is_word_character(sql[word.size()]));
}

// An escape may spell a word that is not there otherwise: U&"s\0065t_config".
bool has_escaped_names(std::string_view sql) noexcept
{
    return sql.find("U&\"") != sql.npos || sql.find("u&\"") != sql.npos;
}

// Returns the kinds whose words stand anywhere in the text.
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

// DO, CALL and EXECUTE run what their text does not show.
bool is_opaque(std::string_view statement) noexcept
{
    static constexpr std::array<std::string_view, 3> words{"do", "call", "execute"};
    return std::ranges::any_of(words, [&](auto word) { return begins_with_word(statement, word); });
}

// Returns true if the statement may begin or end a transaction or a savepoint.
bool begins_with_control(std::string_view statement) noexcept
{
    static constexpr std::array<std::string_view, 9> words{"begin", "start",   "commit",    "end",    "rollback",
                                                           "abort", "prepare", "savepoint", "release"};
    return std::ranges::any_of(words, [&](auto word) { return begins_with_word(statement, word); });
}

// Returns those of `by_words` that one statement may leave.
std::uint8_t kinds_of_statement(std::string_view statement, std::uint8_t by_words) noexcept
{
    if (!is_plain_statement(statement) || has_escaped_names(statement)) return by_words;
    std::uint8_t found = 0;
    for (auto& word : telling_words) {
        if (!word.in_queries || !(by_words & word.kinds)) continue;
        auto there = std::ranges::search(statement, word.lower, {}, lower);
        if (!there.empty()) found |= word.kinds;
    }
    return found;
}

// Returns true if the statement must be parsed.
bool may_change(std::string_view statement, std::uint8_t kinds)
{
    return kinds != 0 || is_opaque(statement) || sql::transaction_control(statement).what != sql::control::none;
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
const json::array* list(const json::value* v) { return v && v->is_array() ? &v->get_array() : nullptr; }

// The name in a node String, whose member is called differently by the versions of the parser.
std::string_view string_of(const json::value& node)
{
    auto* s = member(node, "String");
    return s && s->is_object() && !s->get_object().empty() ? text(&s->get_object().begin()->value())
                                                           : std::string_view();
}

std::string lower_case(std::string_view name)
{
    std::string made(name);
    std::ranges::transform(made, made.begin(), lower);
    return made;
}

// A constant of a parse tree: NULL, a text, a number, true or false.
struct constant
{
    bool is_null = false;
    std::string value;
    int parameter = 0; // in place of a value
};

std::optional<constant> constant_of(const json::value& node)
{
    if (auto* cast = member(node, "TypeCast")) { // $1::text
        auto* arg = member(*cast, "arg");
        auto* type = member(*cast, "typeName");
        auto* names = type ? list(member(*type, "names")) : nullptr;
        auto name = names && !names->empty() ? string_of(names->back()) : std::string_view();
        bool harmless = name == "text" || name == "bool" || name == "varchar";
        return arg && harmless ? constant_of(*arg) : std::nullopt;
    }
    if (auto* parameter = member(node, "ParamRef")) {
        auto* number = member(*parameter, "number");
        if (!number || !number->is_int64()) return std::nullopt;
        return constant{false, {}, static_cast<int>(number->get_int64())};
    }
    auto* value = member(node, "A_Const");
    if (!value) return std::nullopt;
    if (is_true(member(*value, "isnull"))) return constant{true, {}, 0};
    if (auto* boolean = member(*value, "boolval"))
        return constant{false, is_true(member(*boolean, "boolval")) ? "true" : "false", 0};
    if (auto* number = member(*value, "ival")) { // 0 is left out
        auto* n = member(*number, "ival");
        return constant{false, n && n->is_int64() ? std::to_string(n->get_int64()) : "0", 0};
    }
    for (auto* of : {"sval", "fval"})
        if (auto* inner = member(*value, of)) return constant{false, std::string(text(member(*inner, of))), 0};
    return std::nullopt;
}

// SET TRANSACTION …, and the settings that do the same.
bool is_transaction_mode(std::string_view name) noexcept
{
    return name == "transaction" || name == "transaction snapshot" || name == "transaction_isolation" ||
           name == "transaction_read_only" || name == "transaction_deferrable";
}

std::optional<bool> bool_of(std::string_view value)
{
    auto word = lower_case(value);
    for (auto* yes : {"t", "true", "y", "yes", "on", "1"})
        if (word == yes) return true;
    for (auto* no : {"f", "false", "n", "no", "off", "0"})
        if (word == no) return false;
    return std::nullopt;
}

// The value of SET name TO value, value …. A list of names is not the same as one name with a comma in it, so that only what
// means the same in either is a plain text.
std::string value_of(const json::array& args)
{
    auto is_plain = [](std::string_view value) {
        return !value.empty() &&
               std::ranges::all_of(value, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
    };
    if (args.size() == 1)
        if (auto only = constant_of(args[0]); only && is_plain(only->value)) return only->value;
    std::string all;
    for (auto& each : args) {
        auto value = constant_of(each);
        all.append("\x01").append(value ? value->value : json::serialize(each));
    }
    return all;
}

// Parses one statement's tree.
class reader
{
public:
    reader(session_change& found, std::uint8_t by_words)
        : found_(found)
        , by_words_(by_words)
    {}

    void read(const json::value& statement)
    {
        if (auto* set = member(statement, "VariableSetStmt")) {
            read_set(*set);
        } else if (auto* control = member(statement, "TransactionStmt")) {
            read_control(*control);
        } else if (member(statement, "ListenStmt")) {
            found_.seen |= kind::listens;
        } else if (auto* cursor = member(statement, "DeclareCursorStmt")) {
            constexpr std::int64_t cursor_opt_hold = 0x20;
            auto* options = member(*cursor, "options");
            if (options && options->is_int64() && (options->get_int64() & cursor_opt_hold)) found_.seen |= kind::cursors;
        } else if (member(statement, "PrepareStmt")) {
            found_.seen |= kind::prepared;
        } else if (auto* discard = member(statement, "DiscardStmt")) {
            read_discard(text(member(*discard, "target")));
        } else if (member(statement, "DoStmt") || member(statement, "CallStmt") || member(statement, "ExecuteStmt")) {
            found_.suspected |= by_words_;
            add_unknown();
        } else if (auto* select = member(statement, "SelectStmt"); select && read_set_configs(*select)) {
            return;
        }
        walk(statement);
    }

private:
    void add(step made) { found_.steps.push_back(std::move(made)); }
    void add_unknown()
    {
        found_.suspected |= kind::settings;
        add({.what = act::unknown});
    }

    void add_unknown_local(const json::value& setting)
    {
        step made{.what = act::unknown_local};
        if (auto name = constant_of(setting); name && !name->is_null) {
            made.name = lower_case(name->value);
            made.name_in = name->parameter;
        }
        add(std::move(made));
    }

    void read_set(const json::value& set)
    {
        auto name = lower_case(text(member(set, "name")));
        auto how = text(member(set, "kind"));
        auto* args = list(member(set, "args"));
        bool is_local = is_true(member(set, "is_local"));
        if (is_transaction_mode(name)) return read_modes(args, name, {});
        if (!is_local) found_.seen |= kind::settings;
        if (name == "session characteristics") return read_modes(args, name, "default_");
        if (how == "VAR_RESET_ALL") return add({.what = act::reset_all});
        if (how == "VAR_SET_CURRENT" || name.empty()) return add_unknown();
        step made{.what = is_local ? act::set_local : act::set, .name = std::move(name)};
        if (how == "VAR_SET_VALUE" && args) made.value = value_of(*args);
        add(std::move(made));
    }

    // SET TRANSACTION …, SET SESSION CHARACTERISTICS AS TRANSACTION …, BEGIN …; also SET transaction_isolation.
    void read_modes(const json::array* args, const std::string& name, std::string_view prefix)
    {
        auto what = prefix.empty() ? act::set_local : act::set;
        if (name != "transaction" && prefix.empty())
            return add({.what = what, .name = name == "transaction snapshot" ? "transaction_snapshot" : name,
                        .value = args ? std::optional(value_of(*args)) : std::nullopt});
        if (!args) return;
        for (auto& each : *args) {
            auto* mode = member(each, "DefElem");
            auto* arg = mode ? member(*mode, "arg") : nullptr;
            auto value = arg ? constant_of(*arg) : std::nullopt;
            if (value)
                add({.what = what, .name = std::string(prefix) + std::string(text(member(*mode, "defname"))), .value = value->value});
        }
    }

    void read_control(const json::value& control)
    {
        auto how = text(member(control, "kind"));
        if (how.starts_with("TRANS_STMT_")) how.remove_prefix(11);
        auto name = std::string(text(member(control, "savepoint_name")));
        bool chain = is_true(member(control, "chain"));
        if (how.empty() || how == "BEGIN" || how == "START") { // the first value of an enumeration may be left out
            add({.what = act::begin});
            read_modes(list(member(control, "options")), "transaction", {});
        } else if (how == "COMMIT" || how == "PREPARE") {
            add({.what = act::commit, .chain = chain});
        } else if (how == "ROLLBACK") {
            add({.what = act::rollback, .chain = chain});
        } else if (how == "SAVEPOINT") {
            add({.what = act::savepoint, .name = name});
        } else if (how == "RELEASE") {
            add({.what = act::release, .name = name});
        } else if (how == "ROLLBACK_TO") {
            add({.what = act::rollback_to, .name = name});
        }
    }

    void read_discard(std::string_view target)
    {
        found_.seen |= kind::settings; // those that every session of ours starts with are gone
        if (target == "DISCARD_ALL" || target.empty()) add({.what = act::discard_all});
        if (target == "DISCARD_TEMP") add({.what = act::discard_temporary});
    }

    // SELECT set_config(…), set_config(…) and nothing else: each of them is called once, in this order.
    bool read_set_configs(const json::value& select)
    {
        for (auto* other : {"fromClause", "whereClause", "withClause", "valuesLists", "larg", "groupClause", "havingClause",
                            "distinctClause", "sortClause", "limitCount", "limitOffset", "intoClause", "lockingClause", "windowClause"})
            if (member(select, other)) return false;
        auto* targets = list(member(select, "targetList"));
        if (!targets) return false;
        std::vector<step> steps;
        for (auto& each : *targets) {
            auto* target = member(each, "ResTarget");
            auto* value = target ? member(*target, "val") : nullptr;
            auto* call = value ? member(*value, "FuncCall") : nullptr;
            auto made = call ? read_set_config(*call) : std::nullopt;
            if (!made) return false;
            steps.push_back(std::move(*made));
        }
        for (auto& each : steps) {
            if (each.what == act::set && !each.local_in) found_.seen |= kind::settings;
            if (each.local_in) found_.suspected |= kind::settings;
            add(std::move(each));
        }
        return true;
    }

    static bool is_of_the_server(const json::value& call, std::string_view function)
    {
        auto* names = list(member(call, "funcname"));
        if (!names || names->empty() || string_of(names->back()) != function) return false;
        return names->size() == 1 || string_of((*names)[0]) == "pg_catalog";
    }

    // current_setting(…), or coalesce(current_setting(…, true), ''): a custom setting that has no value reads as null.
    static std::optional<constant> setting_read_in(const json::value& node)
    {
        if (auto* coalesce = member(node, "CoalesceExpr")) {
            auto* args = list(member(*coalesce, "args"));
            auto otherwise = args && args->size() == 2 ? constant_of((*args)[1]) : std::nullopt;
            bool is_empty = otherwise && !otherwise->is_null && !otherwise->parameter && otherwise->value.empty();
            return is_empty ? setting_read_in((*args)[0]) : std::nullopt;
        }
        auto* call = member(node, "FuncCall");
        auto* args = call ? list(member(*call, "args")) : nullptr;
        if (!args || args->empty() || !is_of_the_server(*call, "current_setting")) return std::nullopt;
        auto name = constant_of((*args)[0]);
        return name && !name->is_null ? name : std::nullopt;
    }

    static std::optional<step> read_set_config(const json::value& call)
    {
        auto* args = list(member(call, "args"));
        if (!is_of_the_server(call, "set_config") || !args || args->size() != 3) return std::nullopt;
        auto name = constant_of((*args)[0]);
        auto copied = setting_read_in((*args)[1]);
        auto value = copied ? copied : constant_of((*args)[1]);
        auto is_local = constant_of((*args)[2]);
        if (!name || name->is_null || !value || !is_local || is_local->is_null) return std::nullopt;
        step made{.what = act::set, .name = lower_case(name->value), .copies = copied.has_value()};
        if (!value->is_null && !value->parameter) made.value = copied ? lower_case(value->value) : value->value;
        made.name_in = name->parameter;
        made.value_in = value->parameter;
        made.local_in = is_local->parameter;
        if (made.local_in) return made;
        auto local = bool_of(is_local->value);
        if (!local) return std::nullopt;
        made.what = *local ? act::set_local : act::set;
        return made;
    }

    void read_call(const json::value& call)
    {
        auto* names = list(member(call, "funcname"));
        if (!names || names->empty()) return;
        auto name = string_of(names->back());
        if (name == "pg_advisory_lock" || name == "pg_advisory_lock_shared" || name == "pg_try_advisory_lock" ||
            name == "pg_try_advisory_lock_shared")
            found_.seen |= kind::advisory;
        if (name != "set_config") return;
        // How often it is called, and with which arguments, is not known here.
        auto* args = list(member(call, "args"));
        if (!args || args->size() != 3) return;
        auto is_local = constant_of(args->back());
        auto local = is_local && !is_local->parameter ? bool_of(is_local->value) : std::nullopt;
        if (local == true && is_of_the_server(call, "set_config")) return add_unknown_local(args->front());
        add({.what = act::unknown});
        if (local == true) return;
        (local ? found_.seen : found_.suspected) |= kind::settings;
    }

    void add_temporary(std::uint8_t& where)
    {
        if (!(found_.kinds() & kind::temporary)) add({.what = act::make_temporary});
        where |= kind::temporary;
    }

    // Visits the whole tree for calls and temporary objects.
    void walk(const json::value& node)
    {
        if (node.is_array()) {
            for (auto& each : node.get_array()) walk(each);
        } else if (node.is_object()) {
            auto& object = node.get_object();
            if (auto* call = object.if_contains("FuncCall")) read_call(*call);
            bool dropped = text(object.if_contains("oncommit")) == "ONCOMMIT_DROP" ||
                           text(object.if_contains("onCommit")) == "ONCOMMIT_DROP";
            for (auto& [name, value] : object) {
                if (dropped && (name == "relation" || name == "rel")) continue;
                if (name == "relpersistence" && text(&value) == "t") add_temporary(found_.seen);
                walk(value);
            }
        } else if (text(&node) == "pg_temp") {
            add_temporary(found_.suspected);
        }
    }

    session_change& found_;
    std::uint8_t by_words_;
};

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

void suspect(session_change& found, std::uint8_t kinds)
{
    found.suspected |= kinds;
    if (kinds & kind::settings) found.steps.push_back({.what = act::unknown});
    if (kinds & kind::temporary) found.steps.push_back({.what = act::make_temporary});
}

// What does not fit `budget`, in bytes, is not parsed, and suspected.
void add_parsed(std::string_view sql, std::uint8_t by_words, std::size_t& budget, session_change& found)
{
    bool fits = sql.size() <= budget;
    budget -= fits ? sql.size() : 0;
    auto tree = fits ? parse(sql) : std::nullopt;
    auto* statements = tree ? list(member(*tree, "stmts")) : nullptr;
    if (!statements) return suspect(found, is_opaque(sql::from_first_word(sql)) ? by_words | kind::settings : by_words);
    reader all(found, by_words);
    for (auto& each : *statements)
        if (auto* statement = member(each, "stmt")) all.read(*statement);
}

// Returns the text behind these words, without a semicolon at its end; nothing if the text does not begin with them.
std::optional<std::string_view> behind(std::string_view sql, std::string_view words) noexcept
{
    if (!begins_with(sql, words)) return std::nullopt;
    sql.remove_prefix(words.size());
    while (!sql.empty() && (sql.back() == ' ' || sql.back() == ';')) sql.remove_suffix(1);
    return sql;
}

bool is_plain_name(std::string_view name) noexcept
{
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

// Reads the statements that this library sends most, without the parser.
std::optional<session_change> change_in_usual(std::string_view sql)
{
    session_change found;
    for (auto& [words, what] : {std::pair("commit", act::commit), std::pair("rollback", act::rollback)})
        if (auto rest = behind(sql, words); rest && rest->empty()) {
            found.steps.push_back({.what = what});
            return found;
        }
    for (auto& [words, what] : {std::pair("savepoint ", act::savepoint), std::pair("release savepoint ", act::release),
                                std::pair("rollback to savepoint ", act::rollback_to)})
        if (auto name = behind(sql, words); name && is_plain_name(*name)) {
            found.steps.push_back({.what = what, .name = std::string(*name)});
            return found;
        }
    if (auto number = behind(sql, "set local statement_timeout = ");
        number && number->find_first_not_of("0123456789") == number->npos)
        return found;
    if (sql == "set constraints all immediate") return found;
    return std::nullopt;
}

bool is_single(std::string_view sql) noexcept
{
    auto end = sql.find_last_not_of(" \t\n\r\f\v;");
    return end == sql.npos || sql.substr(0, end).find(';') == sql.npos;
}

// The statements of a text that is sent as one.
std::vector<std::string_view> pieces_of(std::string_view sql, bool& refused)
{
    if (is_single(sql)) return {sql};
    auto pieces = sql::split_by_scanner(sql);
    refused = pieces.empty();
    return pieces;
}

constexpr std::size_t longest = 256 * 1024;

// Returns null for a change that changes nothing.
change_ptr shared(session_change change)
{
    return change.empty() ? nullptr : std::make_shared<const session_change>(std::move(change));
}

std::string text_of(const params& args, int number)
{
    auto& p = args[static_cast<std::size_t>(number - 1)];
    return {args.data() + p.offset, static_cast<std::size_t>(p.size)};
}

bool has(const params& args, int number)
{
    return number > 0 && static_cast<std::size_t>(number) <= args.size() && args[static_cast<std::size_t>(number - 1)].size >= 0;
}

// The text of a parameter that is sent as text, or whose type is one of text.
std::optional<std::string> text_in(const params& args, int number)
{
    if (!has(args, number)) return std::nullopt;
    auto& p = args[static_cast<std::size_t>(number - 1)];
    bool is_text = p.in == format::text || p.type == oids::text || p.type == oids::varchar || p.type == oids::infer;
    return is_text ? std::optional(text_of(args, number)) : std::nullopt;
}

std::optional<bool> bool_in(const params& args, int number)
{
    if (!has(args, number)) return std::nullopt;
    auto bytes = text_of(args, number);
    if (args[static_cast<std::size_t>(number - 1)].in == format::text) return bool_of(bytes);
    return bytes.size() == 1 ? std::optional(bytes[0] != 0) : std::nullopt;
}

bool is_null(const params& args, int number)
{
    return number > 0 && static_cast<std::size_t>(number) <= args.size() && args[static_cast<std::size_t>(number - 1)].size < 0;
}

// Returns false if the name, the value or the scope is not known.
bool fill_in(step& s, const params& args)
{
    if (s.name_in) {
        auto name = text_in(args, s.name_in);
        if (!name) return false;
        s.name = lower_case(*name);
    }
    if (s.value_in) {
        s.value = text_in(args, s.value_in);
        if (!s.value && (s.copies || !is_null(args, s.value_in))) return false;
        if (s.copies) s.value = lower_case(*s.value);
    }
    if (s.local_in) {
        auto is_local = bool_in(args, s.local_in);
        if (!is_local) return false;
        s.what = *is_local ? act::set_local : act::set;
    }
    s.name_in = s.value_in = s.local_in = 0;
    return true;
}

} // namespace

namespace
{

// The parser, and the tree that it returns as JSON, take a millisecond for some 2,000 bytes, in which nothing else happens on
// the thread.
constexpr std::size_t usual_budget = 4096;

session_change change_in(std::string_view sql, std::size_t& budget)
{
    session_change found;
    if (auto usual = change_in_usual(sql)) return *usual;
    auto by_words = kinds_by_words(sql);
    auto first = sql::from_first_word(sql);
    if (!may_change(first, by_words)) return found;
    if (sql.size() > longest) {
        suspect(found, is_opaque(first) ? by_words | kind::settings : by_words);
        return found;
    }
    bool refused = false;
    auto pieces = pieces_of(sql, refused);
    if (refused) suspect(found, by_words);
    for (auto each : pieces) {
        auto statement = sql::from_first_word(each);
        auto kinds = kinds_of_statement(statement, by_words);
        if (may_change(statement, kinds)) add_parsed(each, kinds, budget, found);
    }
    return found;
}

// Returns false if no statement of the script can change anything. A comment behind a semicolon, or a word in a literal, may
// make it return true.
bool may_change_something(std::string_view script)
{
    if (kinds_by_words(script)) return true;
    for (std::size_t at = 0; at != script.npos; at = script.find(';', at)) {
        auto rest = script.substr(at);
        rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n\r\f\v;"), rest.size()));
        bool is_comment = rest.starts_with("--") || rest.starts_with("/*");
        if (is_comment || is_opaque(rest) || begins_with_control(rest)) return true;
        at = script.size() - rest.size();
    }
    return false;
}

} // namespace

session_change change_in(std::string_view sql)
{
    std::size_t budget = usual_budget;
    return change_in(sql, budget);
}

bool has_parameters(const session_change& change) noexcept
{
    return std::ranges::any_of(change.steps, [](auto& s) { return s.name_in || s.value_in || s.local_in; });
}

session_change with_parameters(session_change change, const params& args)
{
    for (auto& s : change.steps)
        if (!fill_in(s, args)) s = {.what = act::unknown};
    return change;
}

std::vector<std::string> statements_of(std::string_view script)
{
    auto found = sql::split_by_parser(script);
    return {found.begin(), found.end()};
}

change_ptr change_memory::of(std::string_view sql)
{
    std::size_t budget = usual_budget;
    return of(sql, budget);
}

change_ptr change_memory::of(std::string_view sql, std::size_t& budget)
{
    constexpr std::size_t most = 256;
    constexpr std::size_t longest_kept = 4096;
    if (auto usual = change_in_usual(sql)) return shared(std::move(*usual));
    auto first = sql::from_first_word(sql);
    // Most statements are such.
    bool is_query = is_plain_statement(first) && !has_escaped_names(first) && is_single(first);
    if (is_query && !kinds_of_statement(first, kind::all)) return nullptr;
    if (auto it = known_.find(sql); it != known_.end()) return it->second;
    auto had = budget;
    auto found = shared(change_in(sql, budget));
    bool was_read = sql.size() <= had; // else it was only suspected
    if (sql.size() > longest_kept || !was_read) return found;
    if (known_.size() == most) known_.clear();
    known_.emplace(sql, found);
    return found;
}

std::vector<change_ptr> change_memory::of_script(std::string_view script)
{
    if (script.find(';') == script.npos) return {of(script)};
    if (!may_change_something(script)) return {};
    auto pieces = script.size() <= longest ? sql::split_by_scanner(script) : std::vector<std::string_view>();
    std::vector<change_ptr> found;
    if (pieces.empty()) found.push_back(of(script)); // refused, or too long: as one
    std::size_t budget = usual_budget;
    for (auto each : pieces) found.push_back(of(sql::from_first_word(each), budget));
    return found;
}

std::string_view name_of_effect(std::uint8_t kinds) noexcept
{
    if (kinds & kind::settings) return "SET (or set_config) for the session";
    if (kinds & kind::listens) return "LISTEN";
    if (kinds & kind::temporary) return "a temporary table, view or sequence";
    if (kinds & kind::advisory) return "an advisory lock of the session";
    if (kinds & kind::cursors) return "a cursor WITH HOLD";
    return "PREPARE";
}

std::string_view instead_of_effect(std::uint8_t kinds) noexcept
{
    if (kinds & kind::settings) return "use SET LOCAL in a transaction, or ALTER ROLE … SET";
    if (kinds & kind::listens) return "connect to the server itself for it";
    if (kinds & kind::temporary) return "use ON COMMIT DROP, in a transaction";
    if (kinds & kind::advisory) return "use pg_advisory_xact_lock in a transaction";
    if (kinds & kind::cursors) return "use stream()";
    return "use parameters, which need no PREPARE";
}

} // namespace pgcoro::detail
