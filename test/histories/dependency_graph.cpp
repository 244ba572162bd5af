#include "histories/dependency_graph.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace histories
{

namespace
{

using edge_lists = std::vector<std::vector<edge>>;

// Removes every node that no other one leads to, again and again, until each node that is left has a
// predecessor.
void peel(const std::vector<std::vector<std::size_t>>& to, std::vector<bool>& kept)
{
    std::vector<std::size_t> leading(to.size());
    for (std::size_t i = 0; i < to.size(); ++i)
        if (kept[i])
            for (auto j : to[i]) ++leading[j];
    std::vector<std::size_t> loose;
    for (std::size_t i = 0; i < to.size(); ++i)
        if (kept[i] && leading[i] == 0) loose.push_back(i);
    while (!loose.empty()) {
        auto i = loose.back();
        loose.pop_back();
        kept[i] = false;
        for (auto j : to[i])
            if (kept[j] && --leading[j] == 0) loose.push_back(j);
    }
}

// The nodes that are on a cycle, or between two.
std::vector<bool> cyclic_part(const edge_lists& out, dependencies kinds)
{
    std::vector<std::vector<std::size_t>> forth(out.size());
    std::vector<std::vector<std::size_t>> back(out.size());
    for (auto& edges : out)
        for (auto& e : edges) {
            if (!(e.kind & kinds)) continue;
            forth[e.from].push_back(e.to);
            back[e.to].push_back(e.from);
        }
    std::vector<bool> kept(out.size(), true);
    peel(forth, kept);
    peel(back, kept);
    return kept;
}

// Breadth first; empty if there is no path of fewer edges than `limit`.
std::vector<edge> shortest_path(const edge_lists& out, std::size_t from, std::size_t to, dependencies kinds,
                                const std::vector<bool>& within, std::size_t limit)
{
    std::unordered_map<std::size_t, const edge*> reached_by{{from, nullptr}};
    std::vector<std::size_t> level{from};
    for (std::size_t length = 1; length < limit && !level.empty() && !reached_by.contains(to); ++length) {
        std::vector<std::size_t> next;
        for (auto node : level)
            for (auto& e : out[node])
                if ((e.kind & kinds) && within[e.to] && reached_by.emplace(e.to, &e).second)
                    next.push_back(e.to);
        level = std::move(next);
    }
    std::vector<edge> path;
    if (!reached_by.contains(to)) return path;
    for (auto* e = reached_by[to]; e; e = reached_by[e->from]) path.push_back(*e);
    std::ranges::reverse(path);
    return path;
}

} // namespace

void dependency_graph::add(const edge& e)
{
    if (e.from != e.to) out_[e.from].push_back(e);
}

std::vector<edge> dependency_graph::shortest_cycle(dependencies first, dependencies rest) const
{
    auto part = cyclic_part(out_, first | rest);
    std::vector<edge> best;
    for (auto& edges : out_)
        for (auto& e : edges) {
            if (!(e.kind & first) || !part[e.from] || !part[e.to]) continue;
            auto limit = best.empty() ? std::numeric_limits<std::size_t>::max() : best.size() - 1;
            auto back = shortest_path(out_, e.to, e.from, rest, part, limit);
            if (back.empty()) continue;
            best = {e};
            best.insert(best.end(), back.begin(), back.end());
        }
    return best;
}

} // namespace histories
