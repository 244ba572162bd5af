#pragma once

#include <string>

namespace pgcoro::testing
{

/// Returns 128 bits of the system's randomness as hexadecimal digits. Throws `std::system_error` if the
/// system cannot provide them.
std::string random_password();

} // namespace pgcoro::testing
