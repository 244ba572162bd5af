// P1: what does a statement cost whoever takes a connection for it from the pool?
#include "callers.hpp"
#include "floor/point.hpp"
#include "measures/measures.hpp"
#include "peers/peers.hpp"

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 16;

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
    m.contenders.push_back(floor::point_select(where, callers_at_once));
    for (auto& peer : libpqxx_point_select(where, callers_at_once)) m.contenders.push_back(std::move(peer));
    auto script = "\\set id random(1, " + std::to_string(environment::accounts) +
                  ")\nselect id, owner, cents, rate from account where id = :id;\n";
    for (auto& peer : pgbench(where, callers_at_once, script)) m.contenders.push_back(std::move(peer));
    m.goals.push_back({"client CPU / floor", goal::at_most, 1.10,
                       [](const samples& s) { return cpu_ratio(s, ours, the_floor); }});
    return m;
}

} // namespace bench
