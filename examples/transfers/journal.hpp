#pragma once

#include <pgcoro/pgcoro.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace transfers
{

/// What the layer told a caller of a transfer.
enum class fate : std::uint8_t {
    under_way,
    done,
    unknown, ///< commit_unknown: it may or may not have taken place
    failed,
};

/// What the callers remember, to be held against what the database says: it is kept outside of the database
/// on purpose.
class journal
{
public:
    explicit journal(int callers)
        : fates_(static_cast<std::size_t>(callers))
    {}

    /// A new transfer of that caller. Gives its number, which no other has.
    std::int64_t ask(int caller)
    {
        auto& own = fates_[static_cast<std::size_t>(caller)];
        own.push_back(fate::under_way);
        return static_cast<std::int64_t>(caller) << 32 | static_cast<std::int64_t>(own.size() - 1);
    }

    /// What became of it, and the error that said so; of alike errors the first is kept.
    void settle(std::int64_t id, fate f, std::string error)
    {
        auto first_line = [](const std::string& text) { return text.substr(0, text.find('\n')); };
        auto alike = [&](const std::string& other) { return first_line(other) == first_line(error); };
        if (!error.empty() && errors.size() < errors_kept && std::ranges::none_of(errors, alike))
            errors.push_back(std::move(error));
        fates_[static_cast<std::size_t>(id >> 32)][static_cast<std::size_t>(id & 0xffff'ffff)] = f;
        ++counts_[static_cast<std::size_t>(f)];
    }

    /// So many came to that end.
    std::uint64_t count(fate f) const { return counts_[static_cast<std::size_t>(f)]; }
    /// By caller, and in the order they were asked for.
    const std::vector<std::vector<fate>>& fates() const { return fates_; }

    pgcoro::transaction_metrics metrics;          ///< of all transfers that have ended
    std::vector<std::chrono::microseconds> times; ///< of those done: from asking to knowing, retries included
    std::vector<std::string> errors;              ///< the first few different ones that reached a caller

private:
    static constexpr std::size_t errors_kept = 5;

    std::vector<std::vector<fate>> fates_;
    std::uint64_t counts_[4] = {};
};

} // namespace transfers
