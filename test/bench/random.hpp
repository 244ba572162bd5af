// Which rows are asked for: the same cheap sequence for all contenders.
#pragma once

#include <cstdint>

namespace bench
{

// George Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (14), 2003: the 64-bit one.
class random_rows
{
public:
    explicit random_rows(std::uint64_t seed)
        : state_(0x9e3779b97f4a7c15 * (seed + 1))
    {}

    // From 1 to n.
    std::int64_t upto(std::int64_t n)
    {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::int64_t>(state_ % static_cast<std::uint64_t>(n)) + 1;
    }

private:
    std::uint64_t state_;
};

} // namespace bench
