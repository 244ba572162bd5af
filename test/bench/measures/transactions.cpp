// P4: a transaction of three statements, against BEGIN, the three, and COMMIT, a round trip each. Once as a
// user would write it, COMMIT travelling with the last one; once as a list, in one round trip.
#include "callers.hpp"
#include "floor/loop.hpp"
#include "measures/measures.hpp"
#include "peers/peers.hpp"
#include "random.hpp"

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 16;
// Each caller has accounts of its own: this is about statements, not about locks.
constexpr std::int64_t accounts_each = environment::accounts / callers_at_once;

constexpr auto debit = "update account set cents = cents - $1 where id = $2";
constexpr auto credit = "update account set cents = cents + $1 where id = $2";
constexpr auto balance = "select cents from account where id = $1";

// Does not ask for the transaction's id, as the floor does not: a lost COMMIT stays unknown.
const std::string unresolved = "pgcoro, no resolve_commit";
const std::string marked = "pgcoro, by marker";
const std::string listed = "pgcoro, a list, no resolve_commit";
const std::string listed_resolved = "pgcoro, a list";

struct transfer
{
    std::int64_t from;
    std::int64_t to;
    std::int64_t cents;

    transfer(random_rows& rows, std::size_t who)
        : from(static_cast<std::int64_t>(who) * accounts_each + rows.upto(accounts_each))
        , to(static_cast<std::int64_t>(who) * accounts_each + rows.upto(accounts_each))
        , cents(rows.upto(100))
    {}
};

asio::awaitable<std::uint64_t> transact(callers& all, std::size_t who, pgcoro::resolve_commit how)
{
    pgcoro::transaction_options options;
    options.resolve_commit = how;
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        transfer t(rows, who);
        co_await pgcoro::transactional(
            all.pool(),
            [&](pgcoro::transaction& tx) -> asio::awaitable<std::int64_t> {
                co_await tx.execute(debit, t.cents, t.from);
                co_await tx.execute(credit, t.cents, t.to);
                co_return co_await tx.last().query_value<std::int64_t>(balance, t.from);
            },
            options);
    }
    co_return done;
}

asio::awaitable<std::uint64_t> transact_list(callers& all, std::size_t who, pgcoro::resolve_commit how)
{
    pgcoro::transaction_options options;
    options.resolve_commit = how;
    random_rows rows(who);
    std::uint64_t done = 0;
    std::int64_t left = 0;
    for (; !all.stop(); ++done) {
        transfer t(rows, who);
        pgcoro::statement_list list;
        list.execute(debit, t.cents, t.from);
        list.execute(credit, t.cents, t.to);
        auto seen = list.query_value<std::int64_t>(balance, t.from);
        co_await pgcoro::transactional(all.pool(), list, options);
        left += seen.get();
    }
    co_return done;
}

struct transaction_job
{
    random_rows rows;
    std::size_t who;
    transfer now{rows, who};
    enum { begin, take_from, give_to, look, commit } step = begin;
    std::int64_t left = 0;
    std::uint64_t done = 0;

    bool next(PGconn* conn, bool stop)
    {
        switch (step) {
        case begin:
            if (stop) return false;
            now = transfer(rows, who);
            floor::send_simple(conn, "begin"); // less to send than its prepared kind
            step = take_from;
            return true;
        case take_from:
            floor::send_prepared<2>(conn, "debit", {now.cents, now.from});
            step = give_to;
            return true;
        case give_to:
            floor::send_prepared<2>(conn, "credit", {now.cents, now.to});
            step = look;
            return true;
        case look:
            floor::send_prepared<1>(conn, "balance", {now.from});
            step = commit;
            return true;
        case commit:
            floor::send_simple(conn, "commit");
            step = begin;
            ++done;
            return true;
        }
        return false;
    }
    void take(const PGresult* result)
    {
        auto status = PQresultStatus(result);
        if (status == PGRES_TUPLES_OK)
            left = floor::bigint(PQgetvalue(result, 0, 0));
        else if (status != PGRES_COMMAND_OK)
            throw std::runtime_error(PQresultErrorMessage(result));
    }
};

} // namespace

asio::awaitable<void> make_markers(pgcoro::pool_options options)
{
    pgcoro::pool pool(co_await asio::this_coro::executor, std::move(options));
    co_await pgcoro::create_commit_markers(pool);
    co_await pool.close();
}

measure transactions(const environment& where)
{
    measure m;
    m.id = "P4";
    m.title = "a transaction of three statements, 16 callers";
    auto all = std::make_shared<callers>(where, callers_at_once);
    asio::io_context io;
    asio::co_spawn(io, make_markers(where.pool(1)), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
    struct way
    {
        const std::string& name;
        asio::awaitable<std::uint64_t> (&run)(callers&, std::size_t, pgcoro::resolve_commit);
        pgcoro::resolve_commit how;
    };
    using enum pgcoro::resolve_commit;
    for (auto& w : {way{ours, transact, by_id}, way{unresolved, transact, off}, way{marked, transact, by_marker},
                    way{listed, transact_list, off}, way{listed_resolved, transact_list, by_id}})
        m.contenders.push_back({w.name, [all, w](seconds how_long) {
                                    return all->run(callers_at_once, how_long,
                                                    [&](std::size_t who) { return w.run(*all, who, w.how); });
                                }});
    auto loop = std::make_shared<floor::loop>(
        where.uri(), callers_at_once,
        std::vector<floor::statement>{{"debit", debit}, {"credit", credit}, {"balance", balance}});
    m.contenders.push_back({the_floor, [loop](seconds how_long) {
                                return measured([&] {
                                    std::vector<transaction_job> jobs;
                                    for (std::size_t i = 0; i < callers_at_once; ++i)
                                        jobs.push_back({random_rows(i), i});
                                    loop->run(jobs, how_long);
                                    std::uint64_t sum = 0;
                                    for (auto& j : jobs) sum += j.done;
                                    return sum;
                                });
                            }});
    auto each = std::to_string(accounts_each);
    auto script = "\\set first :client_id * " + each + "\n\\set a random(1, " + each +
                  ") + :first\n\\set b random(1, " + each + ") + :first\n\\set n random(1, 100)\nbegin;\n" +
                  "update account set cents = cents - :n where id = :a;\n"
                  "update account set cents = cents + :n where id = :b;\n"
                  "select cents from account where id = :a;\ncommit;\n";
    for (auto& peer : pgbench(where, callers_at_once, script)) m.contenders.push_back(std::move(peer));
    m.goals.push_back({"client CPU / floor", goal::at_most, 0.85,
                       [](const samples& s) { return cpu_ratio(s, ours, the_floor); }});
    m.goals.push_back({"throughput / floor", goal::at_least, 1.25,
                       [](const samples& s) { return rate_ratio(s, ours, the_floor); }});
    m.goals.push_back({"client CPU / floor, a list", goal::at_most, 0.35,
                       [](const samples& s) { return cpu_ratio(s, listed, the_floor); }});
    m.goals.push_back({"throughput / floor, a list", goal::at_least, 1.75,
                       [](const samples& s) { return rate_ratio(s, listed, the_floor); }});
    return m;
}

} // namespace bench
