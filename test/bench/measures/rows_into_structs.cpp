// P5: a thousand rows of four columns into structs.
#include "callers.hpp"
#include "floor/account.hpp"
#include "measures/measures.hpp"
#include "peers/peers.hpp"
#include "random.hpp"

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 4;
constexpr std::int64_t rows_each = 1'000;
constexpr auto sql = "select id, owner, cents, rate from account where id between $1 and $2";

void check(const std::vector<account>& got)
{
    if (got.size() != rows_each) throw std::runtime_error(std::to_string(got.size()) + " rows came back");
}

asio::awaitable<std::uint64_t> read_rows(callers& all, std::size_t who)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto first = rows.upto(environment::accounts - rows_each);
        auto conn = co_await all.pool().acquire();
        auto got = co_await conn->query_as<account>(sql, first, first + rows_each - 1);
        check(got);
    }
    co_return done;
}

struct rows_job
{
    random_rows rows;
    std::uint64_t done = 0;

    bool next(PGconn* conn, bool stop)
    {
        if (stop) return false;
        auto first = rows.upto(environment::accounts - rows_each);
        floor::send_prepared<2>(conn, "rows", {first, first + rows_each - 1});
        return true;
    }
    void take(const PGresult* result)
    {
        if (PQresultStatus(result) != PGRES_TUPLES_OK) throw std::runtime_error(PQresultErrorMessage(result));
        std::vector<account> got;
        auto n = PQntuples(result);
        got.reserve(static_cast<std::size_t>(n));
        for (int row = 0; row < n; ++row) got.push_back(floor::read_account(result, row));
        check(got);
        ++done;
    }
};

} // namespace

measure rows_into_structs(const environment& where)
{
    measure m;
    m.id = "P5";
    m.title = "1,000 rows of 4 columns into structs, 4 callers";
    auto all = std::make_shared<callers>(where, callers_at_once);
    m.contenders.push_back({ours, [all](seconds how_long) {
                                return all->run(callers_at_once, how_long,
                                                [&](std::size_t who) { return read_rows(*all, who); });
                            }});
    auto loop = std::make_shared<floor::loop>(where.uri(), callers_at_once,
                                              std::vector<floor::statement>{{"rows", sql}});
    m.contenders.push_back({the_floor, [loop](seconds how_long) {
                                return measured([&] {
                                    std::vector<rows_job> jobs;
                                    for (std::size_t i = 0; i < callers_at_once; ++i)
                                        jobs.push_back({random_rows(i)});
                                    loop->run(jobs, how_long);
                                    std::uint64_t sum = 0;
                                    for (auto& j : jobs) sum += j.done;
                                    return sum;
                                });
                            }});
    for (auto& peer : libpqxx_rows(where, callers_at_once)) m.contenders.push_back(std::move(peer));
    m.goals.push_back({"client CPU / floor", goal::at_most, 1.10,
                       [](const samples& s) { return cpu_ratio(s, ours, the_floor); }});
    return m;
}

} // namespace bench
