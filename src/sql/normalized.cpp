#include "sql/normalized.hpp"

#include <pg_query.h>

namespace pgcoro::sql
{

std::string without_constants(std::string_view text)
{
    if (text.find('\0') != text.npos) return {};
    auto got = pg_query_normalize(std::string(text).c_str());
    std::string shown;
    if (!got.error && got.normalized_query) shown = got.normalized_query;
    pg_query_free_normalize_result(got);
    return shown;
}

} // namespace pgcoro::sql
