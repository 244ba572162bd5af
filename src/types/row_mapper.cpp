#include <pgcoro/types/row_mapper.hpp>

#include <boost/core/demangle.hpp>

#include <algorithm>

namespace pgcoro::detail
{
namespace
{

// "column 2 (owner, type text)"
std::string describe(std::size_t index, const column& c)
{
    return "column " + std::to_string(index + 1) + " (" + std::string(c.name) + ", " + type_name(c.type) +
           ")";
}

std::string cpp_name(const std::type_info& type)
{
    if (type == typeid(std::string)) return "std::string";
    if (type == typeid(std::string_view)) return "std::string_view";
    return boost::core::demangle(type.name());
}

} // namespace

void throw_column_type(std::size_t index, const column& c, const std::type_info& wanted)
{
    throw mapping_error(describe(index, c) + " cannot be read as C++ " + cpp_name(wanted) +
                        ": use a type that fits, or cast in the statement");
}

void throw_column_count(std::span<const column> columns, std::size_t wanted, const std::type_info& type)
{
    std::string names;
    for (auto& c : columns) names.append(names.empty() ? "" : ", ").append(c.name);
    throw mapping_error("the result has " + std::to_string(columns.size()) + " columns (" + names +
                        "), and C++ " + cpp_name(type) + " takes " + std::to_string(wanted));
}

void throw_column_value(std::size_t index, const column& c, const std::type_info& wanted, const char* why)
{
    throw mapping_error(describe(index, c) + " does not fit C++ " + cpp_name(wanted) + ": " + why);
}

void match_columns(std::span<const column> columns, std::span<const std::string_view> wanted,
                   std::span<std::size_t> places, const std::type_info& type)
{
    std::string missing;
    std::string surplus;
    auto list = [](std::string& to, std::string_view name) {
        to.append(to.empty() ? "" : ", ").append(name);
    };
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        auto it = std::ranges::find(columns, wanted[i], &column::name);
        if (it == columns.end())
            list(missing, wanted[i]);
        else
            places[i] = static_cast<std::size_t>(it - columns.begin());
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
        bool first = std::ranges::find(columns, columns[i].name, &column::name) - columns.begin() ==
                     static_cast<std::ptrdiff_t>(i);
        if (!first || std::ranges::find(wanted, columns[i].name) == wanted.end())
            list(surplus, columns[i].name);
    }
    if (missing.empty() && surplus.empty()) return;
    std::string text = "the result's columns are not those of C++ " + cpp_name(type) + ":";
    if (!missing.empty()) text += " missing " + missing;
    if (!surplus.empty()) text += (missing.empty() ? " surplus " : "; surplus ") + surplus;
    throw mapping_error(text);
}

} // namespace pgcoro::detail
