#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace histories
{

/// Why one transaction must come before another in every serial order. Bits, so that they make sets.
enum dependency : std::uint8_t {
    ww = 1, ///< it appended the element in front of the other's
    wr = 2, ///< the other read its element
    rw = 4, ///< it read the list without the element that the other appended
    rt = 8, ///< it had ended before the other began (real time)
};
using dependencies = std::uint8_t;

/// One transaction, `from`, must come before another one, `to`.
struct edge
{
    std::size_t from = 0;
    std::size_t to = 0;
    dependency kind = ww;
    std::int64_t key = 0; ///< of the list that says so; not for `rt`
};

/// Which transaction must come before which. A cycle means that there is no such order.
class dependency_graph
{
public:
    explicit dependency_graph(std::size_t transactions)
        : out_(transactions)
    {}

    /// An edge from a transaction to itself says nothing, and is ignored.
    void add(const edge& e);

    /// Returns the shortest cycle of one edge of a kind in `first`, which comes first, and edges of the kinds
    /// in `rest`; empty if the graph has no such cycle.
    std::vector<edge> shortest_cycle(dependencies first, dependencies rest) const;

private:
    std::vector<std::vector<edge>> out_; // by `from`
};

} // namespace histories
