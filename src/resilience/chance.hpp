// Chance without a lock, and different in each process.
#pragma once

#include <random>

namespace pgcoro::detail
{

// One small generator a thread, seeded by the system.
inline std::minstd_rand& generator()
{
    thread_local std::minstd_rand rng(std::random_device{}());
    return rng;
}

// From 0 to below 1.
inline double chance() { return std::uniform_real_distribution<double>()(generator()); }

} // namespace pgcoro::detail
