// The tables, rows and queries of an operation, for both sides.
#pragma once

#include "storm/program.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace storm
{

using table_row = std::tuple<int, int, std::optional<std::string>>;

inline std::string_view table_of(const op& o) { return o.flag2 ? "noisy" : "t"; }

/// The rows that copy_in and insert_many write. Where the operation does not throw itself, row `at` is one
/// that the server refuses.
inline table_row row_at(const op& o, int i)
{
    bool refused = o.at == i && !(o.what == kind::copy_in && o.flag);
    bool replaces = o.what == kind::insert_many && o.flag && i < 10;
    std::optional<std::string> v;
    if (i % 9 != 0) v.emplace(static_cast<std::size_t>(o.size), static_cast<char>('a' + i % 20));
    return {replaces ? i + 1 : o.id * 1000 + i, refused ? -1 : i, v};
}

inline std::vector<table_row> rows_of(const op& o)
{
    std::vector<table_row> rows;
    for (int i = 0; i < o.count; ++i) rows.push_back(row_at(o, i));
    return rows;
}

inline std::string copied_query(const op& o)
{
    auto n = std::to_string(o.count);
    if (o.what == kind::copy_out && o.flag)
        return "select 100 / (" + n + " - i) as k, 'e' as v from generate_series(1, " + n + " + 2) i";
    return "select i as k, case when i % 5 > 0 then repeat('y', " + std::to_string(o.size) +
           ") end as v from generate_series(1, " + n + ") i";
}

/// Both sides connect with this limit.
inline constexpr int statement_timeout_ms = 60'000;
inline constexpr const char* reset_timeout = "set statement_timeout = 60000";

} // namespace storm
