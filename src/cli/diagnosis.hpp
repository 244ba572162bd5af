/// Why a connection was refused, and what mends it.
#pragma once

#include "cli/report.hpp"
#include "cli/settings.hpp"

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/error/error.hpp>

#include <boost/asio/awaitable.hpp>

#include <string>

namespace pgcoro::cli
{

/// What a failed connect told.
struct connect_trouble
{
    connection_failure why;
    std::string sqlstate; ///< empty where the server said nothing
    std::string routine;  ///< the server's function that refused, which no translation changes
    std::string evidence; ///< the attempts, one a line
};

connect_trouble trouble_of(const connection_error& e);

/// The parameters contradict each other, or libpq does not take them.
check wrong_option(const std::string& evidence);

/// Is it a pooler that does not take settings in the startup packet?
bool is_refused_setting(const connect_trouble& t);
check pooler_refuses_settings(const connect_trouble& t);

/// Adds the cause. Connects with other options to find it: with and without TLS, to the database postgres, as
/// the administrator; never with the password where TLS was asked for and is left out.
boost::asio::awaitable<void> explain_refusal(const settings& s, const connection_options& o,
                                             const connect_trouble& t, report& into);

/// Lines of "12 app 'orders' from 10.0.0.7, 9 idle", the most first.
boost::asio::awaitable<std::string> who_holds(connection& c);
extern const char* const holders_remedy;

/// How default_transaction_read_only is undone where it was set (pg_settings.source); names are quoted
/// already.
std::string read_only_remedy(const std::string& source, const std::string& database, const std::string& user);

} // namespace pgcoro::cli
