// Figures tell times in seconds.
#pragma once

#include <chrono>

namespace pgcoro::detail
{

inline double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

} // namespace pgcoro::detail
