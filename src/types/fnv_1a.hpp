// FNV-1a of 64 bits: Fowler, Noll, Vo; the same on every machine and in every version.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgcoro::detail
{

inline std::uint64_t fnv_1a(std::string_view bytes) noexcept
{
    std::uint64_t hash = 0xcbf29ce484222325;
    for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

} // namespace pgcoro::detail
