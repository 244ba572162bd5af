#include <pgcoro/connection/many.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro::detail
{

namespace
{

template <class Each>
std::string list_of(const std::vector<many_column>& columns, std::string_view separator, Each&& each)
{
    std::string list;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        auto item = each(i);
        if (!item.empty()) list.append(list.empty() ? "" : separator).append(item);
    }
    return list;
}

} // namespace

std::string many_statement(many kind, const target& where, const std::vector<many_column>& columns,
                           const std::vector<std::string>& keys)
{
    auto is_key = [&](std::size_t i) {
        return std::find(keys.begin(), keys.end(), columns[i].name) != keys.end();
    };
    if (kind != many::insert && keys.empty())
        throw std::invalid_argument("pgcoro: rows of table " + where.name.quoted() +
                                    " are to be found by no key at all");
    for (auto& key : keys)
        if (std::none_of(columns.begin(), columns.end(), [&](auto& c) { return c.name == key; }))
            throw std::invalid_argument("pgcoro: the key " + key +
                                        " is not among the columns of the rows for table " +
                                        where.name.quoted());

    auto name = [&](std::size_t i) { return identifier(columns[i].name).quoted(); };
    // The arrays' columns have names of their own here, which no name of the user's can meet.
    auto value = [&](std::size_t i) {
        auto v = "u.c" + std::to_string(i);
        return columns[i].cast.empty() ? v : v + "::" + columns[i].cast;
    };
    auto from = "unnest(" +
                list_of(columns, ", ",
                        [&](std::size_t i) {
                            auto array = "$" + std::to_string(i + 1);
                            return columns[i].cast.empty() ? array : array + "::text[]";
                        }) +
                ") as u(" + list_of(columns, ", ", [&](std::size_t i) { return "c" + std::to_string(i); }) +
                ")";
    auto assigned = list_of(columns, ", ", [&](std::size_t i) {
        if (is_key(i)) return std::string();
        return name(i) + " = " + (kind == many::update ? value(i) : "excluded." + name(i));
    });

    if (kind == many::update) {
        if (assigned.empty())
            throw std::invalid_argument("pgcoro: all columns of the rows for table " + where.name.quoted() +
                                        " are keys: there is nothing to update");
        return "update " + where.name + " as t set " + assigned + " from " + from + " where " +
               list_of(columns, " and ", [&](std::size_t i) {
                   return is_key(i) ? "t." + name(i) + " = " + value(i) : std::string();
               });
    }
    auto sql = "insert into " + where.name + " (" + list_of(columns, ", ", name) + ") select " +
               list_of(columns, ", ", value) + " from " + from;
    if (kind == many::insert) return sql;
    return sql + " on conflict (" + quoted_list(keys) + ") do " +
           (assigned.empty() ? "nothing" : "update set " + assigned);
}

} // namespace pgcoro::detail
