// Where a key has its place among several instances: consistent hashing. Each instance has many points on a
// ring; a key belongs to the one whose point follows. Karger and others, "Consistent Hashing and Random
// Trees", STOC 1997; the points as in libketama.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

class hash_ring
{
public:
    // Of one name or more, all of them different.
    explicit hash_ring(const std::vector<std::string>& names);

    // The index of the name.
    std::size_t place_of(std::uint64_t hash) const noexcept;

    // The same on all machines.
    static std::uint64_t hash_of(std::string_view key) noexcept;

private:
    struct point
    {
        std::uint64_t at;
        std::size_t owner;
    };
    std::vector<point> points_; // in ascending order
};

} // namespace pgcoro::detail
