#pragma once

#include <cstddef>

namespace test
{

/// All heap memory that this process has in use, libpq's too.
std::size_t bytes_in_use();

} // namespace test
