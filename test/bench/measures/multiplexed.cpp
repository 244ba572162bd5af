// P2: many callers, each with a statement that stands alone: what does sharing round trips save?
#include "callers.hpp"
#include "floor/point.hpp"
#include "measures/measures.hpp"

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 64;
constexpr std::size_t connections = 4;
// With more, the floor is slower: the server has one core.
constexpr std::size_t floor_connections = 16;

asio::awaitable<std::uint64_t> select(callers& all, pgcoro::multiplexer& mux, std::size_t who)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto id = rows.upto(environment::accounts);
        auto got = co_await mux.read().query_value<account>(floor::point_sql, id);
        floor::check(got, id);
    }
    co_return done;
}

// The same, as writes: each a transaction of its own.
asio::awaitable<std::uint64_t> select_alone(callers& all, pgcoro::multiplexer& mux, std::size_t who)
{
    random_rows rows(who);
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto id = rows.upto(environment::accounts);
        auto got = co_await mux.query_value<account>(floor::point_sql, id);
        floor::check(got, id);
    }
    co_return done;
}

struct multiplexed_callers
{
    explicit multiplexed_callers(const environment& where)
        : all(where, connections)
        , mux(all.executor(), all.pool(), {.connections = connections})
    {}
    callers all;
    pgcoro::multiplexer mux;
};

} // namespace

measure multiplexed(const environment& where)
{
    measure m;
    m.id = "P2";
    m.title = "one point select each through a multiplexer, 64 callers";
    auto ours_at_work = std::make_shared<multiplexed_callers>(where);
    auto add = [&](const std::string& name, auto work) {
        m.contenders.push_back({name, [w = ours_at_work, work](seconds how_long) {
                                    auto before = w->mux.stats();
                                    auto s = w->all.run(callers_at_once, how_long, [&](std::size_t who) {
                                        return work(w->all, w->mux, who);
                                    });
                                    auto after = w->mux.stats();
                                    s.extra["statements a batch"] =
                                        static_cast<double>(after.statements - before.statements) /
                                        static_cast<double>(after.batches - before.batches);
                                    return s;
                                }});
    };
    add(ours, select);
    add("pgcoro, a transaction each", select_alone);
    m.contenders.push_back(floor::point_select(where, floor_connections));
    m.contenders.push_back(floor::pipelined_point_select(where, connections, callers_at_once / connections));
    m.goals.push_back({"throughput / floor", goal::at_least, 3.3,
                       [](const samples& s) { return rate_ratio(s, ours, the_floor); }});
    m.goals.push_back({"client CPU / floor", goal::at_most, 0.15,
                       [](const samples& s) { return cpu_ratio(s, ours, the_floor); }});
    return m;
}

} // namespace bench
