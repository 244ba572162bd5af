#include "cache/lifetime.hpp"

#include <algorithm>

namespace pgcoro::detail
{

using std::chrono::nanoseconds;

namespace
{

nanoseconds times(nanoseconds t, double factor)
{
    return nanoseconds(static_cast<nanoseconds::rep>(static_cast<double>(t.count()) * factor));
}

lifetime adaptive(const adaptive_ttl& rules, const asked_result& what)
{
    lifetime life;
    life.ttl = rules.base;
    life.frequent = what.seen >= rules.frequent_after;
    life.slow = what.took >= rules.slow_after;
    if (life.frequent) life.ttl = times(life.ttl, rules.frequent_factor);
    if (life.slow) life.ttl = times(life.ttl, rules.slow_factor);
    life.capped = what.changing && life.ttl > rules.changing_at_most;
    if (life.capped) life.ttl = rules.changing_at_most;
    life.raised = life.ttl < rules.at_least;
    if (life.raised) life.ttl = rules.at_least;
    return life;
}

} // namespace

lifetime lifetime_of(const cache_options& options, nanoseconds wanted, const asked_result& what)
{
    lifetime life;
    if (wanted.count() > 0) {
        life.ttl = wanted;
        return life;
    }
    switch (options.strategy) {
    case cache_strategy::lru:
        life.ttl = what.changing ? nanoseconds(options.adaptive.changing_at_most) : nanoseconds::max();
        break;
    case cache_strategy::ttl:
        life.ttl = options.ttl;
        break;
    case cache_strategy::adaptive:
        life = adaptive(options.adaptive, what);
        break;
    }
    if (what.empty) life.ttl = std::min<nanoseconds>(life.ttl, options.empty_at_most);
    return life;
}

} // namespace pgcoro::detail
