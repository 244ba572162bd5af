// How long, and by which seed: for tests whose short form is not all that they can do.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace test
{

/// Returns the number in an environment variable; `otherwise` if the variable is not set, or empty.
inline std::uint64_t from_environment(const char* variable, std::uint64_t otherwise)
{
    auto* text = std::getenv(variable);
    return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// A test does one in this many of its repetitions. With sanitizers each takes many times as long.
#ifdef PGCORO_SANITIZED
inline constexpr int one_in = 10;
#else
inline constexpr int one_in = 1;
#endif

/// How often a test repeats what it does `times` times.
constexpr int repeated(int times) { return times / one_in; }

} // namespace test
