// The server's settings that connection options ask for: in the startup packet, or by a statement after it.
#pragma once

#include <pgcoro/connection/options.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgcoro::detail
{

// Is it a name that a setting of the server can have, letters, digits, '_', '.' and '$'?
bool is_setting_name(std::string_view name);

// Returns the settings that the startup packet's `options` ("-c name=value --name=value") give, in their order, with names in
// lower case.
std::vector<std::pair<std::string, std::string>> settings_in(std::string_view startup_options);

// Returns those of them that a server does not list among its settings, one in a line, but for the session's own mark: the role,
// and names with a dot as long as no extension has defined them.
std::string unlisted_settings_in(std::string_view startup_options);

// Returns the name in lower case: the server's names know no case.
std::string lower_name(std::string_view name);

// Returns a text as E'…', which means the same whatever standard_conforming_strings is.
std::string escaped_literal(std::string_view text);

// Returns the value that the startup packet's `options` ("-c name=value --name=value") give a setting; an
// empty text if they do not name it.
std::string setting_in(std::string_view startup_options, std::string_view name);

// Returns `given`, followed by the settings and the chosen timeouts of the options. Returns `given` alone for
// a pooler, which refuses `options`.
//
// Where default timeouts are to be applied later, it adds a setting that marks the session. So a pooler that
// nobody told us about refuses the login, as it would with timeouts in the packet, and login_statement()
// changes no session of a pooler that ignores the packet's `options`.
std::string startup_options(const connection_options& options, std::string given);

// Returns a statement that makes the settings and the chosen timeouts of the options, for the transaction
// only or for the session; an empty text if there are none.
std::string settings_statement(const connection_options& options, bool for_transaction);

// A session timeout with a default, as the server tells it after the login.
struct server_limit
{
    std::string name;
    std::string value;    // in milliseconds; the one before a default was applied
    bool applied = false; // nothing had set it, so the default of the options was applied
};

// Returns the SQL to run once after the login, or an empty text if the startup packet has made everything
// that the options ask for and all timeouts in force are known. It makes the settings that a pooler refuses
// in the startup packet, applies the default timeouts where nothing has set one, and has a row of
// server_limit for each timeout that the options do not choose.
std::string login_statement(const connection_options& options);

// Returns the options with the timeouts that hold in a session as chosen ones.
connection_options in_force(connection_options options, const std::vector<server_limit>& told);

// Returns a statement that makes again what RESET ALL undoes in a session with these options; an empty text
// if nothing has to be made. `told` is what login_statement() returned.
std::string statement_after_reset(const connection_options& options, const std::vector<server_limit>& told);

} // namespace pgcoro::detail
