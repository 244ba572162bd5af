// libpq's connection parameters: parsed, and completed from environment and service file, by libpq itself.
#pragma once

#include "connection/connection_string.hpp"

#include <pgcoro/export.hpp>

#include <string>
#include <string_view>

namespace PGCORO_API pgcoro // the command uses it, too
{
namespace detail
{

// Splits a URI or "key=value …" text, strictly. Throws std::invalid_argument that never quotes the text.
conninfo parse_conninfo(std::string_view text);

bool is_conninfo_keyword(std::string_view keyword);

// The parameters as they would be used: those given, then service file, environment, defaults. Reads files,
// never the network. Throws connection_error when they contradict each other or a service is unknown.
conninfo complete_conninfo(const conninfo& given);

// Does libpq take the values, whether or not anybody answers there? It tells a senseless one and a refused
// connect by nothing but words. target_session_attrs is not looked at.
bool is_acceptable(const conninfo& parameters);

} // namespace detail
} // namespace pgcoro
