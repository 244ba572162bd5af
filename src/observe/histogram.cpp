#include <pgcoro/observe/histogram.hpp>

#include <algorithm>
#include <cmath>

namespace pgcoro
{

using detail::buckets;

void histogram::record(duration value)
{
    auto ns = static_cast<std::uint64_t>(std::max<duration::rep>(value.count(), 0));
    std::uint64_t one = 1;
    add(buckets::index(ns), std::span(&one, 1));
    add(1, ns, ns, ns);
}

void histogram::add(std::size_t from, std::span<const std::uint64_t> counts)
{
    while (!counts.empty() && counts.back() == 0) counts = counts.first(counts.size() - 1);
    if (counts_.size() < from + counts.size()) counts_.resize(from + counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) counts_[from + i] += counts[i];
}

void histogram::add(std::uint64_t count, std::uint64_t sum, std::uint64_t min, std::uint64_t max) noexcept
{
    count_ += count;
    sum_ += sum;
    min_ = std::min(min_, min);
    max_ = std::max(max_, max);
}

void histogram::merge(const histogram& other)
{
    add(0, other.counts_);
    add(other.count_, other.sum_, other.min_, other.max_);
}

histogram histogram::since(const histogram& earlier) const
{
    histogram d;
    d.counts_ = counts_;
    for (std::size_t i = 0; i < d.counts_.size() && i < earlier.counts_.size(); ++i)
        d.counts_[i] -= std::min(d.counts_[i], earlier.counts_[i]);
    for (std::size_t i = 0; i < d.counts_.size(); ++i) {
        if (d.counts_[i] == 0) continue;
        d.min_ = std::min(d.min_, std::max(min_, buckets::lower(i)));
        d.max_ = std::min(max_, buckets::lower(i) + buckets::width(i) - 1);
    }
    d.count_ = count_ - std::min(count_, earlier.count_);
    d.sum_ = sum_ - std::min(sum_, earlier.sum_);
    return d;
}

histogram::duration histogram::mean() const noexcept
{
    return count_ ? duration(static_cast<duration::rep>(sum_ / count_)) : duration();
}

histogram::duration histogram::quantile(double q) const noexcept
{
    // By the buckets' own sum: while others count, it may differ from count_ for a moment.
    std::uint64_t all = 0;
    for (auto n : counts_) all += n;
    if (all == 0) return {};
    auto rank = static_cast<std::uint64_t>(std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(all)));
    rank = std::clamp<std::uint64_t>(rank, 1, all);
    std::size_t i = 0;
    for (std::uint64_t seen = counts_[0]; seen < rank; seen += counts_[i]) ++i;
    auto middle = buckets::lower(i) + buckets::width(i) / 2;
    return duration(static_cast<duration::rep>(std::clamp(middle, std::min(min_, max_), max_)));
}

std::uint64_t histogram::count_upto(duration limit) const noexcept
{
    if (limit.count() < 0) return 0;
    auto last = std::min(buckets::index(static_cast<std::uint64_t>(limit.count())) + 1, counts_.size());
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < last; ++i) sum += counts_[i];
    return sum;
}

} // namespace pgcoro
