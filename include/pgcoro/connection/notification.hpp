#pragma once

#include <pgcoro/export.hpp>

#include <string>

namespace PGCORO_API pgcoro
{

/// What NOTIFY sent.
struct notification
{
    std::string channel;
    std::string payload;
    int backend_pid = 0; ///< the sender's server process
    /// Only from a `listener`: the connection had been lost and is there again, and whatever was sent
    /// meanwhile is lost. The rest is empty then.
    bool gap = false;
};

} // namespace pgcoro
