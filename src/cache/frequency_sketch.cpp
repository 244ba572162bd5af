#include "cache/frequency_sketch.hpp"

#include <algorithm>
#include <bit>

namespace pgcoro::detail
{

namespace
{

constexpr unsigned depth = 4;
constexpr std::uint64_t seeds[depth] = {0xc3a5c85c97cb3127, 0xb492b66fbe98f273, 0x9ae16a3b2f90404f,
                                       0xcbf29ce484222325};

} // namespace

frequency_sketch::frequency_sketch(std::size_t keys)
    : words_(std::bit_ceil(std::max<std::size_t>(keys, 64)))
    , sample_(10 * words_.size())
{}

frequency_sketch::place frequency_sketch::at(std::uint64_t hash, unsigned row) const noexcept
{
    auto mixed = (hash ^ (hash >> 32)) * seeds[row];
    mixed ^= mixed >> 29;
    // Each row has four of a word's counters of its own.
    return {static_cast<std::size_t>(mixed >> 8) & (words_.size() - 1),
            4 * (4 * row + static_cast<unsigned>(mixed & 3))};
}

void frequency_sketch::record(std::uint64_t hash) noexcept
{
    bool added = false;
    for (unsigned r = 0; r < depth; ++r) {
        auto p = at(hash, r);
        if (((words_[p.word] >> p.shift) & most) == most) continue;
        words_[p.word] += std::uint64_t(1) << p.shift;
        added = true;
    }
    if (added && ++recorded_ == sample_) halve();
}

unsigned frequency_sketch::estimate(std::uint64_t hash) const noexcept
{
    unsigned least = most;
    for (unsigned r = 0; r < depth; ++r) {
        auto p = at(hash, r);
        least = std::min(least, static_cast<unsigned>((words_[p.word] >> p.shift) & most));
    }
    return least;
}

void frequency_sketch::halve() noexcept
{
    for (auto& w : words_) w = (w >> 1) & 0x7777777777777777;
    recorded_ /= 2;
}

} // namespace pgcoro::detail
