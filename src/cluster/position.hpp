// Positions in PostgreSQL's log.
#pragma once

#include <cstdint>

namespace pgcoro::detail
{

// An insertion would go behind a page's header; where the record before ended, which is what a standby tells,
// is before it ("XLogBytePosToRecPtr" and "…EndRecPtr", src/backend/access/transam/xlog.c). Pages are of 8
// kB, their headers of 24 bytes, or 40 where a file begins.
inline std::uint64_t end_of_record(std::uint64_t insertion)
{
    auto in_page = insertion % 8192;
    return in_page == 24 || in_page == 40 ? insertion - in_page : insertion;
}

} // namespace pgcoro::detail
