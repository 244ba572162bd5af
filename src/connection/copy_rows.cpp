#include <pgcoro/connection/copy_rows.hpp>

#include <algorithm>

namespace pgcoro::detail
{

void append_copy_text(std::string_view value, encoder::buffer& out)
{
    for (char c : value) {
        switch (c) {
        case '\\':
            out.push_back('\\');
            out.push_back('\\');
            break;
        case '\n':
            out.push_back('\\');
            out.push_back('n');
            break;
        case '\r':
            out.push_back('\\');
            out.push_back('r');
            break;
        case '\t':
            out.push_back('\\');
            out.push_back('t');
            break;
        default:
            out.push_back(c);
        }
    }
}

void throw_in_row(std::uint64_t row, const std::string& column, const mapping_error& why)
{
    throw mapping_error("row " + std::to_string(row) + ", column " + column + ": " + why.message());
}

target_column choose_bytes_column(const target& where, const std::vector<target_column>& all,
                                  const std::string& name, bool others_are_binary, std::uint64_t size)
{
    constexpr std::uint64_t most = (std::uint64_t(1) << 30) - 1; // MaxAllocSize of PostgreSQL's memutils.h
    auto found = std::find_if(all.begin(), all.end(), [&](auto& c) { return c.name == name; });
    if (found == all.end())
        throw mapping_error("table " + where.name.quoted() + " has no column " + name + " to write to");
    auto its = "column " + name + " of table " + where.name.quoted();
    if (found->type != oids::bytea)
        throw mapping_error(its + " is of type " + found->type_name +
                            ": only a bytea can be written by pieces");
    if (size > most)
        throw mapping_error(its + " cannot hold " + std::to_string(size) +
                            " bytes: PostgreSQL's values have less than 1 GiB");
    if (!others_are_binary)
        throw mapping_error(its + " cannot be written by pieces: one of the row's other members does not fit "
                                  "its column in the binary format; make it the C++ type of its column");
    return *found;
}

void throw_pieces_size(const std::string& column, std::uint64_t announced, std::uint64_t came)
{
    throw mapping_error("column " + column + ": " + std::to_string(announced) +
                        " bytes were announced, and the pieces had " + std::to_string(came) +
                        (came > announced ? " or more" : ""));
}

std::string copy_in_statement(const target& where, const std::vector<target_column>& columns, bool binary)
{
    std::vector<std::string> names;
    names.reserve(columns.size());
    for (auto& c : columns) names.push_back(c.name);
    return "copy " + where.name + " (" + quoted_list(names) + ") from stdin (format " +
           (binary ? "binary)" : "text, encoding 'UTF8')");
}

bool split_copy_row(std::string_view bytes, std::span<const column> columns, std::vector<field_view>& fields)
{
    decoder in(bytes);
    auto n = in.number<std::int16_t>();
    if (n == -1) return false;
    if (n < 0 || static_cast<std::size_t>(n) != columns.size())
        throw_mapping_error("a row of COPY has " + std::to_string(n) + " columns, not " +
                            std::to_string(columns.size()));
    fields.clear();
    for (auto& c : columns) fields.push_back(in.element(c.type));
    in.finish();
    return true;
}

} // namespace pgcoro::detail
