#include "connection/libpq_result.hpp"

#include <cstdlib>
#include <string_view>

namespace pgcoro::detail
{

const char* first_value(const PGresult* rows)
{
    return PQgetisnull(rows, 0, 0) ? nullptr : PQgetvalue(rows, 0, 0);
}

std::uint64_t rows_of(PGresult* done)
{
    auto rows = static_cast<std::uint64_t>(PQntuples(done));
    return rows > 0 ? rows : std::strtoull(PQcmdTuples(done), nullptr, 10);
}

std::uint64_t bytes_of(const PGresult* rows) noexcept
{
    std::uint64_t sum = 0;
    for (int r = 0, n = PQntuples(rows), columns = PQnfields(rows); r < n; ++r)
        for (int c = 0; c < columns; ++c) sum += static_cast<std::uint64_t>(PQgetlength(rows, r, c));
    return sum;
}

bool drops_statements(PGresult* done)
{
    std::string_view tag = PQcmdStatus(done);
    return tag == "DISCARD ALL" || tag == "DEALLOCATE ALL";
}

} // namespace pgcoro::detail
