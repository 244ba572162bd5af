#pragma once

#include "load.hpp"
#include "watch.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chaos
{

/// What one kind of fault cost, each time: from its end until every caller had success again.
struct recoveries
{
    std::vector<clock::duration> times;
    std::size_t never = 0; ///< not within `trial::recovery_limit`
};

/// What a trial found.
struct findings
{
    std::map<std::string_view, recoveries> by_kind;
    work_figures work[works];
    std::uint64_t asked = 0;
    std::uint64_t unknown = 0;
    std::uint64_t failed = 0;
    pgcoro::transaction_metrics transactions;
    std::vector<std::string> errors; ///< of transfers, the first of them
    transfers::audit books;
    std::size_t appends_committed = 0; ///< transactions on lists whose callers had success
    std::size_t appends_failed = 0;
    std::size_t appends_unknown = 0;
    std::size_t notifications = 0;
    std::size_t gaps = 0;
    std::uint64_t failovers = 0;
    std::vector<std::string> complaints; ///< all that is not as it should be, a line each

    /// All that the load has to tell once it has ended and `books` are checked, complaints included.
    void take(const load& l, const watch& seen);
};

} // namespace chaos
