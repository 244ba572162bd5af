// P1: what does a statement cost whoever takes a connection for it from the pool?
#include "callers.hpp"
#include "floor/account.hpp"
#include "measures/measures.hpp"
#include "peers/peers.hpp"
#include "random.hpp"

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 16;
constexpr auto sql = "select id, owner, cents, rate from account where id = $1";

void check(const account& got, std::int64_t wanted)
{
    if (got.id != wanted) throw std::runtime_error("the wrong row came back");
}

asio::awaitable<std::uint64_t> select_by_lease(callers& all, std::size_t who)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto id = rows.upto(environment::accounts);
        auto conn = co_await all.pool().acquire();
        auto got = co_await conn->query_value<account>(sql, id);
        check(got, id);
    }
    co_return done;
}

// The same by hand.
struct select_job
{
    random_rows rows;
    std::int64_t id = 0;
    std::uint64_t done = 0;

    bool next(PGconn* conn, bool stop)
    {
        if (stop) return false;
        id = rows.upto(environment::accounts);
        floor::send_prepared<1>(conn, "point", {id});
        return true;
    }
    void take(const PGresult* result)
    {
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
            throw std::runtime_error(PQresultErrorMessage(result));
        check(floor::read_account(result, 0), id);
        ++done;
    }
};

} // namespace

measure point_select(const environment& where)
{
    measure m;
    m.id = "P1";
    m.title = "one prepared point select a lease, 16 callers";
    auto all = std::make_shared<callers>(where, callers_at_once);
    m.contenders.push_back({ours, [all](seconds how_long) {
                                return all->run(callers_at_once, how_long,
                                                [&](std::size_t who) { return select_by_lease(*all, who); });
                            }});
    auto loop = std::make_shared<floor::loop>(where.uri(), callers_at_once,
                                              std::vector<floor::statement>{{"point", sql}});
    m.contenders.push_back({the_floor, [loop](seconds how_long) {
                                return measured([&] {
                                    std::vector<select_job> jobs;
                                    for (std::size_t i = 0; i < callers_at_once; ++i)
                                        jobs.push_back({random_rows(i)});
                                    loop->run(jobs, how_long);
                                    std::uint64_t sum = 0;
                                    for (auto& j : jobs) sum += j.done;
                                    return sum;
                                });
                            }});
    for (auto& peer : libpqxx_point_select(where, callers_at_once)) m.contenders.push_back(std::move(peer));
    auto script = "\\set id random(1, " + std::to_string(environment::accounts) +
                  ")\nselect id, owner, cents, rate from account where id = :id;\n";
    for (auto& peer : pgbench(where, callers_at_once, script)) m.contenders.push_back(std::move(peer));
    m.goals.push_back({"client CPU / floor", goal::at_most, 1.10,
                       [](const samples& s) { return cpu_ratio(s, ours, the_floor); }});
    return m;
}

} // namespace bench
