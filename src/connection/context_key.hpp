// The key by which two sessions have interchangeable results: session::context_key().
#pragma once

#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// A query that returns one text: a fingerprint of the defaults of a session's settings, as far as they can change a result. It is equal in
// all sessions of a role in a database whose settings have the same defaults.
extern const char* const defaults_query;

class session;

// Runs a statement, and stores the session's context_key() after it in `context`.
boost::asio::awaitable<result> run_in_context(session& on, std::string_view sql, const params& args,
                                              std::optional<std::string>& context);

} // namespace pgcoro::detail
