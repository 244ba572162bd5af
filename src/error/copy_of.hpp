// Exceptions of which each caller has its own.
#pragma once

#include <exception>

namespace pgcoro::detail
{

// The same exception as an object of its own: a note that one receiver adds to it is not seen by others who
// were given `failure`, too. Only errors of this library are copied. Any other exception is returned as it
// is, since nothing in the library modifies one. Null for null.
std::exception_ptr copy_of(const std::exception_ptr& failure);

} // namespace pgcoro::detail
