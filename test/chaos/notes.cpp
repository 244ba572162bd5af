#include "notes.hpp"

#include <algorithm>

namespace chaos
{

std::size_t notes::lost() const
{
    std::size_t lost = 0;
    std::optional<std::int64_t> before;
    for (auto& number : heard_) {
        if (!number) {
            before.reset();
            continue;
        }
        // One whose sender was not told of its commit may come late; the others come in their order.
        auto at = std::ranges::lower_bound(told_, *number);
        if (at == told_.end() || *at != *number) continue;
        if (before) lost += static_cast<std::size_t>(at - std::ranges::upper_bound(told_, *before));
        before = *number;
    }
    return lost;
}

} // namespace chaos
