#include <pgcoro/connection/result.hpp>

#include <charconv>
#include <cstring>

namespace pgcoro
{

field row::operator[](std::size_t i) const
{
    if (i >= size())
        throw mapping_error("there is no column " + std::to_string(i) + " (counted from 0): the result has " +
                            std::to_string(size()));
    auto at = static_cast<int>(i);
    column c{PQfname(result_, at), PQftype(result_, at)};
    return {c, i, result::value(result_, index_, at, c.type)};
}

field row::operator[](std::string_view name) const
{
    for (std::size_t i = 0; i < size(); ++i)
        if (name == PQfname(result_, static_cast<int>(i))) return (*this)[i];
    std::string names;
    for (auto& c : result::columns_of(result_)) names.append(names.empty() ? "" : ", ").append(c.name);
    throw mapping_error("there is no column '" + std::string(name) + "': the result has " + names);
}

std::uint64_t result::affected_rows() const noexcept
{
    std::uint64_t count = 0;
    if (!owned_) return count;
    std::string_view text = PQcmdTuples(owned_.get());
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
}

std::string_view result::command_tag() const& noexcept
{
    return owned_ ? std::string_view(PQcmdStatus(owned_.get())) : std::string_view();
}

column_list result::columns_of(const PGresult* from)
{
    column_list list;
    for (int i = 0, n = PQnfields(from); i < n; ++i) list.push_back({PQfname(from, i), PQftype(from, i)});
    return list;
}

column_list result::columns() const& { return owned_ ? columns_of(get()) : column_list(); }

row result::operator[](std::size_t i) const&
{
    if (i >= size())
        throw mapping_error("there is no row " + std::to_string(i) + " (counted from 0): the result has " +
                            std::to_string(size()));
    return {get(), static_cast<int>(i)};
}

void result::throw_row_count(const char* wanted) const
{
    throw mapping_error(std::string(wanted) + " was expected, and the result has " + std::to_string(size()));
}

} // namespace pgcoro
