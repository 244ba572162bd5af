// The server's settings that connection options ask for, and the two ways to make them.
#pragma once

#include <pgcoro/connection/options.hpp>

#include <string>

namespace pgcoro::detail
{

// For the startup packet, behind what was `given` already; nothing is added for a pooler, which would refuse
// it.
std::string startup_options(const connection_options& options, std::string given);

// A statement that makes them, for the transaction only or for the session; empty when there are none.
std::string settings_statement(const connection_options& options, bool for_transaction);

} // namespace pgcoro::detail
