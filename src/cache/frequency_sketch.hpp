// How often a key was asked for lately, roughly and in little memory: a count-min sketch of four 4-bit
// counters a key that are all halved now and then (the TinyLFU paper, sections 3.2 to 3.4).
#pragma once

#include <cstdint>
#include <vector>

namespace pgcoro::detail
{

class frequency_sketch
{
public:
    static constexpr unsigned most = 15;

    explicit frequency_sketch(std::size_t keys);

    void record(std::uint64_t hash) noexcept;
    // 0 to `most`: never less than the truth since the last halving.
    unsigned estimate(std::uint64_t hash) const noexcept;

private:
    struct place
    {
        std::size_t word;
        unsigned shift;
    };
    place at(std::uint64_t hash, unsigned row) const noexcept;
    void halve() noexcept;

    std::vector<std::uint64_t> words_; // 16 counters each
    std::uint64_t sample_;             // so many are recorded between two halvings
    std::uint64_t recorded_ = 0;
};

} // namespace pgcoro::detail
