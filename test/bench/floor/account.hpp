#pragma once

#include "environment.hpp"
#include "floor/loop.hpp"

#include <bit>

namespace bench::floor
{

// Columns by position, as the statement has them.
inline account read_account(const PGresult* from, int row)
{
    return {bigint(PQgetvalue(from, row, 0)),
            std::string(PQgetvalue(from, row, 1), static_cast<std::size_t>(PQgetlength(from, row, 1))),
            bigint(PQgetvalue(from, row, 2)), std::bit_cast<double>(bigint(PQgetvalue(from, row, 3)))};
}

} // namespace bench::floor
