// The key by which two sessions have interchangeable results: session::context_key().
#pragma once

namespace pgcoro::detail
{

// A query that returns one text: a fingerprint of the defaults of a session's settings, as far as they can change a result. It is equal in
// all sessions of a role in a database whose settings have the same defaults.
extern const char* const defaults_query;

} // namespace pgcoro::detail
