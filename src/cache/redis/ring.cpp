#include "cache/redis/ring.hpp"

#include "types/fnv_1a.hpp"

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

constexpr int points_each = 160; // shares differ by less than a tenth then

} // namespace

hash_ring::hash_ring(const std::vector<std::string>& names)
{
    for (std::size_t i = 0; i < names.size(); ++i)
        for (int n = 0; n < points_each; ++n)
            points_.push_back({hash_of(names[i] + '#' + std::to_string(n)), i});
    // By name where two meet: the order of the names must not matter.
    std::ranges::sort(points_, [&](const point& a, const point& b) {
        return a.at != b.at ? a.at < b.at : names[a.owner] < names[b.owner];
    });
}

std::size_t hash_ring::place_of(std::uint64_t hash) const noexcept
{
    auto next = std::ranges::lower_bound(points_, hash, {}, &point::at);
    return (next == points_.end() ? points_.front() : *next).owner;
}

// FNV leaves the upper bits of short texts alike; the finalizer is MurmurHash3's.
std::uint64_t hash_ring::hash_of(std::string_view key) noexcept
{
    auto h = fnv_1a(key);
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
    return h ^ (h >> 33);
}

} // namespace pgcoro::detail
