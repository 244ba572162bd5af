// The floor of what asks for one row by its key.
#pragma once

#include "floor/account.hpp"
#include "random.hpp"

#include <memory>

namespace bench::floor
{

constexpr auto point_sql = "select id, owner, cents, rate from account where id = $1";

inline void check(const account& got, std::int64_t wanted)
{
    if (got.id != wanted) throw std::runtime_error("the wrong row came back");
}

inline void check_row(const account& got)
{
    if (got.id < 1 || got.id > environment::accounts)
        throw std::runtime_error("no row of the table came back");
}

struct point_job
{
    random_rows rows;
    std::int64_t id = 0;
    std::uint64_t done = 0;

    bool next(PGconn* conn, bool stop)
    {
        if (stop) return false;
        id = rows.upto(environment::accounts);
        send_prepared<1>(conn, "point", {id});
        return true;
    }
    void take(const PGresult* result)
    {
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
            throw std::runtime_error(PQresultErrorMessage(result));
        check(read_account(result, 0), id);
        ++done;
    }
};

// Of many at once, the check is only that it is a row.
struct pipelined_point_job
{
    point_job one;

    bool next(PGconn* conn, bool stop) { return one.next(conn, stop); }
    void take(const PGresult* result)
    {
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
            throw std::runtime_error(PQresultErrorMessage(result));
        check_row(read_account(result, 0));
        ++one.done;
    }
};

// One job a connection, so many statements a Sync.
inline contender pipelined_point_select(const environment& where, std::size_t connections, int depth)
{
    auto all = std::make_shared<loop>(where.uri(), connections, std::vector<statement>{{"point", point_sql}});
    return {"libpq itself, " + std::to_string(depth) + " a Sync",
            [all, connections, depth](seconds how_long) {
                return measured([&] {
                    std::vector<pipelined_point_job> jobs;
                    for (std::size_t i = 0; i < connections; ++i) jobs.push_back({{random_rows(i)}});
                    all->run_pipelined(jobs, depth, how_long);
                    std::uint64_t sum = 0;
                    for (auto& j : jobs) sum += j.one.done;
                    return sum;
                });
            }};
}

// One job a connection.
inline contender point_select(const environment& where, std::size_t connections)
{
    auto all = std::make_shared<loop>(where.uri(), connections, std::vector<statement>{{"point", point_sql}});
    return {the_floor, [all, connections](seconds how_long) {
                return measured([&] {
                    std::vector<point_job> jobs;
                    for (std::size_t i = 0; i < connections; ++i) jobs.push_back({random_rows(i)});
                    all->run(jobs, how_long);
                    std::uint64_t sum = 0;
                    for (auto& j : jobs) sum += j.done;
                    return sum;
                });
            }};
}

} // namespace bench::floor
