// libpq's connection parameters: parsed, and completed from environment and service file, by libpq itself.
#pragma once

#include "connection/connection_string.hpp"

#include <pgcoro/connection/options.hpp>
#include <pgcoro/export.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro // the command uses it, too
{
namespace detail
{

// Splits a URI or "key=value …" text, strictly. Throws std::invalid_argument that never quotes the text.
conninfo parse_conninfo(std::string_view text);

// Returns the value of a parameter; an empty text if it is not there.
std::string value_of(const conninfo& parameters, std::string_view keyword);

bool is_conninfo_keyword(std::string_view keyword);

// The parameters as they would be used: those given, then service file, environment, defaults. Reads files,
// never the network. Throws connection_error when they contradict each other or a service is unknown.
conninfo complete_conninfo(const conninfo& given);

// Returns the time limit for one address: the one chosen in the options; otherwise `connect_timeout` of the parameters, the
// service file or the environment (in seconds; 0 and less are no limit, as in libpq); otherwise the default of the options.
// Returns milliseconds::max() for no limit. Unless the limit was chosen, throws as complete_conninfo().
std::chrono::milliseconds connect_timeout_of(const connection_options& options);
// The same, where the completed parameters are known.
std::chrono::milliseconds connect_timeout_of(const connection_options& options, const conninfo& completed);

// Does libpq take the values, whether or not anybody answers there? It tells a senseless one and a refused
// connect by nothing but words. target_session_attrs is not looked at.
bool is_acceptable(const conninfo& parameters);

// Returns a sentence on the first parameter of completed ones that cannot be honoured, or whose value libpq
// would refuse only once it is connected; an empty text if there is none.
std::string unusable_parameter(const conninfo& completed);

// Is it a name of the encoding UTF8, as the server spells them?
bool is_utf8(std::string_view encoding);

// Returns a sentence on the password file if libpq looked for a password in it and ignored the file as a
// whole, for instance because others may read it; otherwise an empty text.
std::string ignored_password_file(const conninfo& completed);

} // namespace detail
} // namespace pgcoro
