#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace chaos
{

/// What was sent by NOTIFY, a number each in rising order, and what a listener heard of it.
class notes
{
public:
    std::int64_t next() { return ++last_; }
    /// The number was committed, so whoever listens has to hear it.
    void told(std::int64_t number) { told_.push_back(number); }
    void heard(std::int64_t number) { heard_.push_back(number); }
    /// The listener was told that it may have missed something.
    void gap()
    {
        heard_.push_back(std::nullopt);
        ++gaps_;
    }

    std::size_t gaps() const noexcept { return gaps_; }
    std::size_t count_told() const noexcept { return told_.size(); }
    /// So many were lost without a word: committed between two that were heard with no gap between them.
    std::size_t lost() const;

private:
    std::int64_t last_ = 0;
    std::size_t gaps_ = 0;
    std::vector<std::int64_t> told_;
    std::vector<std::optional<std::int64_t>> heard_;
};

} // namespace chaos
