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

/// How often a test repeats what it does `times` times: a tenth of that with sanitizers, with which each turn takes many
/// times as long.
constexpr int repeated(int times)
{
#ifdef PGCORO_SANITIZED
    return times / 10;
#else
    return times;
#endif
}

} // namespace test
