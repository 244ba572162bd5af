// What the sources of `transaction` share.
#pragma once

#include <pgcoro/error/error.hpp>

#include <string_view>

namespace pgcoro
{

// Deferred constraints are checked by COMMIT, which no statement_timeout stops. Checked before it, they are stopped
// when the time is over, and the outcome is known.
inline constexpr std::string_view check_constraints = "set constraints all immediate";

// Is it what the server itself answered? A pooler that lost its server answers with errors of its own, without the
// severity that is never translated.
inline bool is_servers_word(const error& e)
{
    return dynamic_cast<const server_error*>(&e) == nullptr || e.severity() == "ERROR";
}

} // namespace pgcoro
