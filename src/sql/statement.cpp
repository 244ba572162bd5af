#include "sql/statement.hpp"

#include "sql/time_words.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>

#include <pg_query.h>

namespace pgcoro::sql
{

namespace json = boost::json;

namespace
{

// A text that nests deeper is not understood: the walk below takes stack for each level.
constexpr std::size_t deepest = 2'000;

std::string_view text_of(const json::object& node, std::string_view key)
{
    auto* found = node.if_contains(key);
    return found && found->is_string() ? std::string_view(found->get_string()) : std::string_view();
}

const json::array* list_of(const json::object& node, std::string_view key)
{
    auto* found = node.if_contains(key);
    return found ? found->if_array() : nullptr;
}

// {"String": {"sval": "x"}}; "str" before PostgreSQL 15's grammar.
std::string string_node(const json::value& v)
{
    auto* node = v.if_object();
    auto* inner = node ? node->if_contains("String") : nullptr;
    if (!inner || !inner->is_object()) return {};
    auto text = text_of(inner->get_object(), "sval");
    if (text.empty()) text = text_of(inner->get_object(), "str");
    return std::string(text);
}

// The last two parts of a qualified name.
name name_of(const json::array& parts)
{
    name n;
    if (parts.size() > 1) n.schema = string_node(parts[parts.size() - 2]);
    if (!parts.empty()) n.object = string_node(parts.back());
    return n;
}

// A table as a RangeVar names it.
name range(const json::object& node)
{
    return {std::string(text_of(node, "schemaname")), std::string(text_of(node, "relname"))};
}

// The text of a string constant; empty for any other constant.
std::string_view constant_of(const json::value& v)
{
    auto* node = v.if_object();
    auto* value = node ? node->if_contains("sval") : nullptr;
    return value && value->is_object() ? text_of(value->get_object(), "sval") : std::string_view();
}

const json::object* object_in(const json::object& node, std::string_view key)
{
    auto* found = node.if_contains(key);
    return found ? found->if_object() : nullptr;
}

// The text of 'x' or 'x'::text; empty for any other expression.
std::string_view plain_text_of(const json::value& v)
{
    auto* node = v.if_object();
    if (auto* constant = node ? node->if_contains("A_Const") : nullptr) return constant_of(*constant);
    auto* cast = node ? object_in(*node, "TypeCast") : nullptr;
    auto* type = cast ? object_in(*cast, "typeName") : nullptr;
    auto* names = type ? list_of(*type, "names") : nullptr;
    auto* arg = cast ? cast->if_contains("arg") : nullptr;
    return arg && names && name_of(*names).object == "text" ? plain_text_of(*arg) : std::string_view();
}

bool mentions(const json::value& v, std::string_view kind)
{
    if (auto* list = v.if_array())
        return std::ranges::any_of(*list, [&](auto& each) { return mentions(each, kind); });
    auto* node = v.if_object();
    return node && std::ranges::any_of(*node, [&](auto& each) {
               return each.key() == kind || mentions(each.value(), kind);
           });
}

// Is a value of this type, or a part of it, a point in time? A user's type may be anything.
bool may_be_of_time(std::string_view type)
{
    static constexpr std::array<std::string_view, 20> never{
        "bool",  "bpchar", "bytea", "char", "cidr", "float4", "float8", "inet", "int2",  "int4",
        "int8",  "interval", "json",  "jsonb", "money", "name",  "numeric", "oid",  "text",  "uuid"};
    return type != "varchar" && !type.starts_with("reg") && std::ranges::find(never, type) == never.end();
}

template <class Name>
void sort(std::vector<Name>& names)
{
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
}

// Goes through the whole tree, whatever node it meets: one that it does not know hides nothing below it.
class walker
{
public:
    explicit walker(statement& into)
        : into_(into)
    {}

    bool changes() const { return changes_; }

    void visit(const json::value& v)
    {
        if (auto* list = v.if_array())
            for (auto& each : *list) visit(each);
        else if (auto* object = v.if_object())
            visit(*object);
    }

private:
    void visit(const json::object& node)
    {
        auto visible = ctes_.size();
        if (auto* with = node.if_contains("withClause"); with && with->is_object())
            visit_with(with->get_object());
        if (node.contains("relname") && !of_with(node)) into_.tables.push_back(range(node));
        if (auto* called = list_of(node, "funcname")) call(name_of(*called), list_of(node, "args"));
        for (auto& [key, value] : node) {
            if (key == "withClause") continue;
            look_at(key, value);
            visit(value);
        }
        ctes_.resize(visible);
    }

    // Each query of WITH sees those before it, and with RECURSIVE all of them.
    void visit_with(const json::object& with)
    {
        auto* list = list_of(with, "ctes");
        if (!list) return;
        auto* flag = with.if_contains("recursive");
        bool recursive = flag && flag->is_bool() && flag->get_bool();
        auto name_in = [](const json::value& v) -> std::string {
            auto* outer = v.if_object();
            auto* cte = outer ? outer->if_contains("CommonTableExpr") : nullptr;
            return cte && cte->is_object() ? std::string(text_of(cte->get_object(), "ctename"))
                                           : std::string();
        };
        if (recursive)
            for (auto& each : *list) ctes_.push_back(name_in(each));
        for (auto& each : *list) {
            visit(each);
            if (!recursive) ctes_.push_back(name_in(each));
        }
    }

    // Does it mean a query of WITH, rather than a table?
    bool of_with(const json::object& node) const
    {
        return !node.contains("schemaname") &&
               std::find(ctes_.begin(), ctes_.end(), text_of(node, "relname")) != ctes_.end();
    }

    void look_at(std::string_view key, const json::value& value)
    {
        if (key == "lockingClause" || key == "intoClause") changes_ = true;
        if (key == "CopyStmt" || key == "TruncateStmt") target(value);
        if (key == "InsertStmt" || key == "UpdateStmt" || key == "DeleteStmt" || key == "MergeStmt") {
            changes_ = true;
            target(value);
        }
        if (key == "RangeTableSample") into_.repeatable = false;
        if (key == "SQLValueFunction") value_function(value);
        if (key == "A_Const" && has_time_word(constant_of(value))) into_.time_dependent = true;
        if (key == "TypeCast") cast(value);
        if (key == "ColumnRef") select(value, "fields", 1);
        if (key == "A_Indirection") select(value, "indirection", 0);
        if (key == "CaseExpr" || key == "JoinExpr") compare(value);
        if (auto* list = value.if_array()) {
            if (key == "useOp" || key == "operName") into_.operators.push_back(name_of(*list));
        }
        if (key == "A_Expr" && value.is_object()) operate(value.get_object());
    }

    void call(name function, const json::array* args)
    {
        if (function.object == "current_setting") {
            auto setting = args && !args->empty() ? plain_text_of(args->front()) : std::string_view();
            if (setting.find('.') != setting.npos)
                into_.settings.emplace_back(setting);
            else
                into_.settings_known = false;
        }
        into_.functions.push_back(std::move(function));
    }

    // The tree names BETWEEN instead of the two operators that it calls.
    void operate(const json::object& node)
    {
        auto* list = list_of(node, "name");
        if (!list) return;
        into_.operators.push_back(name_of(*list));
        if (into_.operators.back().object.find("BETWEEN") == std::string::npos) return;
        for (auto* bound : {"<=", ">="}) into_.operators.push_back({"", bound});
    }

    // CASE a WHEN b, USING and NATURAL JOIN compare without naming the operator.
    void compare(const json::value& v)
    {
        auto* node = v.if_object();
        if (node && (node->contains("arg") || node->contains("usingClause") || node->contains("isNatural")))
            into_.operators.push_back({"", "="});
    }

    void select(const json::value& v, std::string_view list, std::size_t from)
    {
        static constexpr std::array<std::string_view, 5> of_a_version{"ctid", "xmin", "xmax", "cmin", "cmax"};
        auto* parts = v.is_object() ? list_of(v.get_object(), list) : nullptr;
        for (std::size_t i = 0; parts && i < parts->size(); ++i) {
            auto part = string_node((*parts)[i]);
            if (std::ranges::find(of_a_version, part) != of_a_version.end()) into_.repeatable = false;
            if (i >= from && !part.empty()) into_.selected.push_back({"", std::move(part)});
        }
    }

    void target(const json::value& of)
    {
        auto* node = of.if_object();
        if (!node) return;
        if (auto* one = node->if_contains("relation"); one && one->is_object())
            into_.written.push_back(range(one->get_object()));
        if (auto* list = list_of(*node, "relations"))
            for (auto& each : *list)
                if (auto* one = each.is_object() ? each.get_object().if_contains("RangeVar") : nullptr)
                    into_.written.push_back(range(one->get_object()));
    }

    void value_function(const json::value& v)
    {
        auto op = v.is_object() ? text_of(v.get_object(), "op") : std::string_view();
        if (op.find("DATE") != op.npos || op.find("TIME") != op.npos) into_.time_dependent = true;
    }

    // A text that the statement computes from constants and parameters may be 'now' in pieces. Texts from columns are not
    // considered: see query_cache.
    void cast(const json::value& v)
    {
        auto* node = v.if_object();
        if (!node) return;
        auto* type = node->if_contains("typeName");
        auto* names = type && type->is_object() ? list_of(type->get_object(), "names") : nullptr;
        if (names) into_.types.push_back(name_of(*names));
        auto* arg = node->if_contains("arg");
        bool computed = arg && arg->is_object() && !arg->get_object().contains("A_Const") &&
                        !arg->get_object().contains("ParamRef") && !mentions(*arg, "ColumnRef");
        if (computed && (!names || may_be_of_time(name_of(*names).object))) into_.time_dependent = true;
    }

    statement& into_;
    std::vector<std::string> ctes_;
    bool changes_ = false;
};

struct parsed
{
    explicit parsed(const std::string& text)
        : got(pg_query_parse(text.c_str()))
    {}
    parsed(const parsed&) = delete;
    ~parsed() { pg_query_free_parse_result(got); }

    PgQueryParseResult got;
};

} // namespace

statement parse(std::string_view text)
{
    statement s;
    if (text.find('\0') != text.npos) return s;
    parsed tree{std::string(text)};
    if (tree.got.error || !tree.got.parse_tree) return s;
    json::parse_options options;
    options.max_depth = deepest;
    boost::system::error_code failed;
    auto root = json::parse(tree.got.parse_tree, failed, {}, options);
    if (failed || !root.is_object()) return s;
    auto* statements = list_of(root.get_object(), "stmts");
    walker walk(s);
    walk.visit(root);
    sort(s.tables);
    sort(s.written);
    sort(s.functions);
    sort(s.operators);
    sort(s.types);
    sort(s.selected);
    sort(s.settings);
    if (!statements || statements->size() != 1) {
        s.nature = nature::several;
        return s;
    }
    auto* only =
        statements->front().is_object() ? statements->front().get_object().if_contains("stmt") : nullptr;
    if (!only || !only->is_object()) return s;
    auto& node = only->get_object();
    if (walk.changes() && !node.contains("ExplainStmt"))
        s.nature = nature::write;
    else
        s.nature = node.contains("SelectStmt") ? nature::read : nature::other;
    return s;
}

std::optional<std::uint64_t> fingerprint(std::string_view text)
{
    if (text.find('\0') != text.npos) return std::nullopt;
    auto got = pg_query_fingerprint(std::string(text).c_str());
    std::optional<std::uint64_t> number;
    if (!got.error) number = got.fingerprint;
    pg_query_free_fingerprint_result(got);
    return number;
}

} // namespace pgcoro::sql
