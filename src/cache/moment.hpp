// A moment of the primary's: which transactions were over, and how far its log had got. What was read since
// has seen them all; this is how a copy made elsewhere (on a replica, in the second level) is known to be
// new enough.
#pragma once

#include <pgcoro/cluster/commit_token.hpp>
#include <pgcoro/connection/result.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// The transactions that were over, as `pg_current_snapshot` has it: all below `xmax` but those listed.
struct over_by
{
    std::uint64_t xmin = 0; // the least that is not over
    std::uint64_t xmax = 0;
    std::vector<std::uint64_t> running; // in ascending order, all from xmin on and below xmax

    // Whether all that is over by `other` is over here.
    bool includes(const over_by& other) const;

    // From "xmin:xmax:running,…"; false if it is not of that form.
    static bool parse(std::string_view text, over_by& into);
};

struct moment
{
    // The server, since its start and on its timeline, and the database. Moments of different origins cannot be compared.
    std::string origin;
    over_by over;
    commit_token position;                   // not less than what is over by then
    std::chrono::microseconds server_time{}; // of the epoch, by the server's clock
    std::chrono::steady_clock::time_point asked;
};

// Asks the primary for the moment; on a standby it fails.
extern const char* const moment_statement;
moment moment_from(const result& answer, std::chrono::steady_clock::time_point asked);

} // namespace pgcoro::detail
