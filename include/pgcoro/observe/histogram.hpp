#pragma once

#include <pgcoro/export.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{

// Log-linear buckets of nanoseconds: exact below 64, then 32 of equal width between one power of two and the
// next, up to 2^47 ns (39 hours), where the rest is counted.
struct buckets
{
    static constexpr unsigned per_group = 32;
    static constexpr unsigned groups = 43;
    static constexpr std::size_t count = per_group * groups;
    static constexpr std::uint64_t most = (std::uint64_t(1) << 47) - 1;

    static constexpr std::size_t index(std::uint64_t ns) noexcept
    {
        if (ns > most) ns = most;
        auto shift = ns < 2 * per_group ? 0u : static_cast<unsigned>(std::bit_width(ns)) - 6;
        return shift * per_group + static_cast<std::size_t>(ns >> shift);
    }
    // The least value of a bucket, and how many values it has.
    static constexpr std::uint64_t lower(std::size_t i) noexcept
    {
        return i < 2 * per_group ? i : (per_group + i % per_group) << (i / per_group - 1);
    }
    static constexpr std::uint64_t width(std::size_t i) noexcept
    {
        return i < 2 * per_group ? 1 : std::uint64_t(1) << (i / per_group - 1);
    }
};

} // namespace detail

/// How often durations of what length came, from 1 ns to 39 hours, in at most 11 KiB.
///
/// Log-linear, as G. Tene's HdrHistogram: each power of two is divided into 32 buckets of equal width, and a
/// quantile is the middle of its bucket. Half a bucket's width is at most 1/64 of the least value in it, so
/// that a quantile is within 1.6 % of the value of that rank. Count, sum, least and greatest are exact.
///
/// A plain value; not thread-safe.
class histogram
{
public:
    using duration = std::chrono::nanoseconds;

    /// Counts one; what is less than 0 counts as 0.
    void record(duration value);
    void merge(const histogram& other);
    /// What has come since `earlier`, a former state of this one. Its least and greatest value are known to
    /// a bucket only.
    histogram since(const histogram& earlier) const;

    std::uint64_t count() const noexcept { return count_; }
    duration sum() const noexcept { return duration(sum_); }
    /// 0 when nothing was counted; so are the following.
    duration min() const noexcept { return count_ ? duration(min_) : duration(); }
    duration max() const noexcept { return duration(max_); }
    duration mean() const noexcept;
    /// The value that the share `q`, 0 to 1, of all is not above: of rank ceil(q · count).
    duration quantile(double q) const noexcept;
    /// How many were not above `limit`; exact where that is a bucket's end, else for the whole of its bucket.
    std::uint64_t count_upto(duration limit) const noexcept;

    /// For who counts elsewhere: adds raw buckets from the given one on, and the exact figures.
    /// @{
    void add(std::size_t from, std::span<const std::uint64_t> counts);
    void add(std::uint64_t count, std::uint64_t sum, std::uint64_t min, std::uint64_t max) noexcept;
    /// @}

private:
    std::vector<std::uint64_t> counts_; // as far as there are any
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t min_ = UINT64_MAX;
    std::uint64_t max_ = 0;
};

} // namespace pgcoro
