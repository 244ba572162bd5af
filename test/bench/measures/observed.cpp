// What does it cost to count everything? P1's work, with metrics and without.
#include "callers.hpp"
#include "measures/measures.hpp"

#include <pgcoro/observe/metrics.hpp>

namespace bench
{

namespace
{

constexpr std::size_t callers_at_once = 16;
const std::string without = "without metrics";
const std::string with = "with metrics";

struct observed_callers
{
    observed_callers(const environment& where, std::size_t connections)
        : all(where, connections, &metrics)
    {}

    pgcoro::metrics metrics;
    callers all;
};

} // namespace

measure observed(const environment& where)
{
    measure m;
    m.id = "M1";
    m.title = "P1's point select a lease, 16 callers, counted by metrics";
    auto plain = std::make_shared<callers>(where, callers_at_once);
    m.contenders.push_back({without, [plain](seconds how_long) {
                                return plain->run(callers_at_once, how_long, [&](std::size_t who) {
                                    return select_by_lease(*plain, who);
                                });
                            }});
    auto watched = std::make_shared<observed_callers>(where, callers_at_once);
    m.contenders.push_back({with, [watched](seconds how_long) {
                                auto& all = watched->all;
                                return all.run(callers_at_once, how_long,
                                               [&](std::size_t who) { return select_by_lease(all, who); });
                            }});
    m.goals.push_back({"client CPU / without", goal::at_most, 1.03,
                       [](const samples& s) { return cpu_ratio(s, with, without); }});
    return m;
}

} // namespace bench
