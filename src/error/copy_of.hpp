// Copies of exceptions, so that each caller has its own.
#pragma once

#include <exception>

namespace pgcoro::detail
{

// Returns a copy of the exception. A note that the receiver adds to the copy is not seen by others who were
// given `failure`. Only errors of this library are copied. Any other exception is returned as it
// is, since nothing in the library modifies one. Null for null.
std::exception_ptr copy_of(const std::exception_ptr& failure);

} // namespace pgcoro::detail
