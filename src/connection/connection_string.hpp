// Connection strings: URIs and libpq's "key=value" text, split into parameters.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

using conninfo = std::map<std::string, std::string, std::less<>>;

// Says what is wrong with a connection string at which position, counted from 1. It never quotes the string:
// in a malformed one nobody knows which part is the password.
class malformed_connection_string : public std::invalid_argument
{
public:
    malformed_connection_string(const std::string& what, std::size_t offset);
};

using keyword_check = std::function<bool(std::string_view)>;

enum class strictness {
    as_libpq, // accepts what PQconninfoParse() accepts, but for an empty text and NUL characters
    // Refuses what nobody can have meant, too: a port that is not a number; in a URI an '@' in host or
    // database, which shows that the password before it was cut short; a value that has another parameter in
    // it.
    strict,
};

// Splits a connection string into parameters, the same ones as libpq's PQconninfoParse(). An empty text is
// refused, because it would connect to a default server that nobody named. `is_keyword` tells whether libpq
// knows a parameter. Throws malformed_connection_string.
conninfo split_connection_string(std::string_view text, const keyword_check& is_keyword, strictness how);

// Is it empty, a number from 1 to 65535, or a comma-separated list of these?
bool is_port_list(std::string_view list);

} // namespace pgcoro::detail
