// libpq's connection parameters: parsed, and completed from environment and service file, by libpq itself.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

using conninfo = std::map<std::string, std::string, std::less<>>;

// A URI or "key=value …" text taken apart. Throws std::invalid_argument.
conninfo parse_conninfo(const std::string& text);

bool is_conninfo_keyword(std::string_view keyword);

// The parameters as they would be used: those given, then service file, environment, defaults. Reads files,
// never the network. Throws connection_error when they contradict each other or a service is unknown.
conninfo complete_conninfo(const conninfo& given);

} // namespace pgcoro::detail
