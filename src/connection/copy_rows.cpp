#include <pgcoro/connection/copy_rows.hpp>

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

std::string copy_in_statement(const target& where, const std::vector<target_column>& columns, bool binary)
{
    std::vector<std::string> names;
    for (auto& c : columns) names.push_back(c.name);
    return "copy " + quote_name(where.name) + " (" + quoted_list(names) + ") from stdin (format " +
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
