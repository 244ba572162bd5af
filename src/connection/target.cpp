#include <pgcoro/connection/target.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace detail
{

const std::string_view columns_query =
    "with recursive base as ("
    "select a.attname, a.attnum, t.oid, t.typtype, t.typbasetype, t.typreceive "
    "from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid "
    "where a.attrelid = $1::pg_catalog.text::pg_catalog.regclass and a.attnum > 0 "
    "and not a.attisdropped and a.attgenerated = '' "
    "union all "
    "select b.attname, b.attnum, t.oid, t.typtype, t.typbasetype, t.typreceive "
    "from base b join pg_catalog.pg_type t on t.oid = b.typbasetype where b.typtype = 'd') "
    "select attname::pg_catalog.text, oid, pg_catalog.format_type(oid, -1), "
    "typreceive::pg_catalog.text in ('textrecv', 'varcharrecv', 'bpcharrecv', 'namerecv', 'enum_recv', "
    "'json_recv', 'xml_recv') or typreceive::pg_catalog.text ~ 'citextrecv$' "
    "from base where typtype <> 'd' order by attnum";

std::vector<target_column> read_columns(const result& got)
{
    std::vector<target_column> columns;
    using known = std::tuple<std::string, oid, std::string, bool>;
    for (auto& [name, type, type_name, text] : got.as<known>())
        columns.push_back({name, type, type_name, text});
    return columns;
}

std::vector<std::string> column_names(const target& where, std::span<const std::string_view> member_names,
                                      std::size_t size)
{
    auto names = where.columns;
    if (names.empty()) names.assign(member_names.begin(), member_names.end());
    if (names.empty())
        throw std::invalid_argument("pgcoro: the columns of table " + where.name.quoted() +
                                    " must be named: the rows are no described structs");
    if (names.size() != size)
        throw mapping_error("the rows have " + std::to_string(size) + " members, and " +
                            std::to_string(names.size()) + " columns of table " + where.name.quoted() +
                            " were named");
    return names;
}

std::vector<target_column> choose_columns(const target& where, std::vector<target_column> all,
                                          std::span<const std::string_view> member_names, std::size_t size)
{
    if (where.columns.empty() && member_names.empty()) {
        if (all.size() != size)
            throw mapping_error("the rows have " + std::to_string(size) + " members, and table " +
                                where.name.quoted() + " has " + std::to_string(all.size()) +
                                " columns: name those that are meant");
        return all;
    }
    std::vector<target_column> chosen;
    std::string missing;
    for (auto& name : column_names(where, member_names, size)) {
        auto found = std::find_if(all.begin(), all.end(), [&](auto& c) { return c.name == name; });
        if (found == all.end())
            missing += (missing.empty() ? "" : ", ") + name;
        else
            chosen.push_back(*found);
    }
    if (missing.empty()) return chosen;
    std::string has;
    for (auto& c : all) has += (has.empty() ? "" : ", ") + c.name;
    throw mapping_error("table " + where.name.quoted() + " has no column " + missing +
                        " to write to; it has " + has);
}

std::string quoted_list(const std::vector<std::string>& names)
{
    std::string list;
    for (auto& n : names) list += (list.empty() ? "" : ", ") + identifier(n).quoted();
    return list;
}

} // namespace detail
} // namespace pgcoro
