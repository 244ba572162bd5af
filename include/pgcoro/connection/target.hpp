#pragma once

#include <pgcoro/connection/identifier.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

/// Names of columns or channels: `names("id", "owner")`. The same as {"id", "owner"}, which GCC 12 does not
/// compile inside a `co_await` expression.
template <class... T>
std::vector<std::string> names(const T&... each)
{
    std::vector<std::string> all;
    all.reserve(sizeof...(each));
    (all.emplace_back(each), ...);
    return all;
}

/// A table, and which of its columns rows go to or come from.
struct target
{
    /// `called` as identifier::parse() takes it.
    target(const char* called)
        : target(std::string(called))
    {}
    target(const std::string& called, std::vector<std::string> of_columns = {})
        : target(identifier::parse(called), std::move(of_columns))
    {}
    target(identifier called, std::vector<std::string> of_columns = {})
        : name(std::move(called))
        , columns(std::move(of_columns))
    {}

    identifier name;
    /// In the order of the row's members. Empty: the members' names where the row is a described struct, else
    /// all of the table's columns in their order, without generated ones.
    std::vector<std::string> columns;
};

namespace detail
{

// A column that rows are written to.
struct target_column
{
    std::string name;
    oid type;              // of a domain: its base
    std::string type_name; // as SQL writes it
    bool binary_is_text;   // its binary format is its text: text, enums, citext …
};

// Asks for all columns of $1, a quoted name; needs no rights on the table.
extern const std::string_view columns_query;

std::vector<target_column> read_columns(const result& got);

// Those that rows with `size` members, named so (or not named), go to.
std::vector<target_column> choose_columns(const target& where, std::vector<target_column> all,
                                          std::span<const std::string_view> member_names, std::size_t size);
// The same names without having asked the server; throws where they must be known and are not.
std::vector<std::string> column_names(const target& where, std::span<const std::string_view> member_names,
                                      std::size_t size);

// "a", "b"
std::string quoted_list(const std::vector<std::string>& names);

} // namespace detail
} // namespace pgcoro
