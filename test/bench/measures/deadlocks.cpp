// P9: 16 callers move money between 10 rows in random order. Who loses a deadlock tries again.
#include "callers.hpp"
#include "floor/loop.hpp"
#include "measures/measures.hpp"
#include "random.hpp"

#include <algorithm>
#include <string_view>

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 16;
constexpr std::int64_t hot = 10;
constexpr auto debit = "update account set cents = cents - $1 where id = $2";
constexpr auto credit = "update account set cents = cents + $1 where id = $2";
const std::string reached = "errors that reached a caller";
const std::string retries = "retries";

struct transfer
{
    std::int64_t from;
    std::int64_t to;

    explicit transfer(random_rows& rows)
        : from(rows.upto(hot))
        , to(rows.upto(hot - 1))
    {
        if (to >= from) ++to;
    }
};

struct tally
{
    double reached = 0;
    double retries = 0;
};

asio::awaitable<std::uint64_t> move_money(callers& all, std::size_t who, tally& told)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    while (!all.stop()) {
        transfer t(rows);
        pgcoro::transaction_metrics metrics;
        pgcoro::transaction_options options;
        options.metrics = &metrics;
        try {
            co_await pgcoro::transactional(
                all.pool(),
                [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
                    co_await tx.execute(debit, std::int64_t{1}, t.from);
                    co_await tx.execute(credit, std::int64_t{1}, t.to);
                },
                options);
            ++done;
        } catch (const pgcoro::error&) {
            ++told.reached;
        }
        told.retries += static_cast<double>(metrics.retries);
    }
    co_return done;
}

// Tries again at once, for as long as it takes: nobody waits for longer than the server makes him.
struct transfer_job
{
    random_rows rows;
    transfer now{rows};
    enum { begin, take_from, give_to, commit, end } step = begin;
    bool again = false;
    double retries = 0;
    std::uint64_t done = 0;

    bool next(PGconn* conn, bool stop)
    {
        switch (step) {
        case end:
            ++done;
            [[fallthrough]];
        case begin:
            step = begin;
            if (stop && !again) return false;
            if (!again) now = transfer(rows);
            again = false;
            floor::send_simple(conn, "begin");
            step = take_from;
            return true;
        case take_from:
            floor::send_prepared<2>(conn, "debit", {1, now.from});
            step = give_to;
            return true;
        case give_to:
            if (again) return roll_back(conn);
            floor::send_prepared<2>(conn, "credit", {1, now.to});
            step = commit;
            return true;
        case commit:
            if (again) return roll_back(conn);
            floor::send_simple(conn, "commit");
            step = end;
            return true;
        }
        return false;
    }
    void take(const PGresult* result)
    {
        if (PQresultStatus(result) == PGRES_COMMAND_OK) return;
        auto* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (!code || std::string_view(code) != "40P01")
            throw std::runtime_error(PQresultErrorMessage(result));
        again = true;
        ++retries;
    }

private:
    bool roll_back(PGconn* conn)
    {
        floor::send_simple(conn, "rollback");
        step = begin;
        return true;
    }
};

double most(const samples& all, const std::string& of, const std::string& extra)
{
    double found = 0;
    for (auto& s : all.at(of)) found = std::max(found, s.extra.at(extra));
    return found;
}

} // namespace

measure deadlocks(const environment& where)
{
    measure m;
    m.id = "P9";
    m.title = "transfers between 10 rows in random order, 16 callers";
    auto all = std::make_shared<callers>(where, callers_at_once);
    m.contenders.push_back({ours, [all](seconds how_long) {
                                tally told;
                                auto s = all->run(callers_at_once, how_long, [&](std::size_t who) {
                                    return move_money(*all, who, told);
                                });
                                s.extra[reached] = told.reached;
                                s.extra[retries] = told.retries;
                                return s;
                            }});
    auto loop = std::make_shared<floor::loop>(
        where.uri(), callers_at_once, std::vector<floor::statement>{{"debit", debit}, {"credit", credit}});
    m.contenders.push_back({the_floor, [loop](seconds how_long) {
                                std::vector<transfer_job> jobs;
                                for (std::size_t i = 0; i < callers_at_once; ++i)
                                    jobs.push_back({random_rows(i)});
                                auto s = measured([&] {
                                    loop->run(jobs, how_long);
                                    std::uint64_t sum = 0;
                                    for (auto& j : jobs) sum += j.done;
                                    return sum;
                                });
                                for (auto& j : jobs) s.extra[retries] += j.retries;
                                return s;
                            }});
    m.goals.push_back({reached, goal::at_most, 0, [](const samples& s) { return most(s, ours, reached); }});
    m.goals.push_back({"throughput / floor", goal::at_least, 1,
                       [](const samples& s) { return rate_ratio(s, ours, the_floor); }});
    return m;
}

} // namespace bench
