// What is told apart by name, in a bounded number: who comes too late is the last one, "other".
#pragma once

#include "observe/utf8.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgcoro::detail
{

// Hash of text that finds views among strings.
struct text_hash
{
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept
    {
        return std::hash<std::string_view>()(text);
    }
};
template <class T>
using by_text = std::unordered_map<std::string, T, text_hash, std::equal_to<>>;

// The names of all threads, each with its number.
class series_names
{
public:
    explicit series_names(std::size_t most)
        : most_(most)
    {}

    std::size_t capacity() const noexcept { return most_ + 1; }
    std::size_t other() const noexcept { return most_; }

    // Returns the number of a name; other() when there is no room. `describe` returns the text to keep with a
    // new name. Names enter here: two that differ in invalid UTF-8 only are one, because no label may be
    // exported twice.
    template <class Describe>
    std::size_t number_of(std::string_view given, Describe describe)
    {
        auto name = to_utf8(given);
        if (name == "other") return other();
        std::lock_guard lock(mutex_);
        if (auto it = numbers_.find(name); it != numbers_.end()) return it->second;
        if (names_.size() >= most_) return other();
        auto n = names_.size();
        names_.push_back({name, to_utf8(describe())});
        numbers_.emplace(std::move(name), n);
        return n;
    }

    struct entry
    {
        std::string name;
        std::string text;
    };
    std::vector<entry> all() const
    {
        std::lock_guard lock(mutex_);
        return names_;
    }

private:
    const std::size_t most_;
    mutable std::mutex mutex_;
    std::vector<entry> names_;
    by_text<std::size_t> numbers_;
};

// One thread's cells of such a series. One writer; any reader.
template <class Cell>
class series
{
public:
    explicit series(std::size_t capacity)
        : capacity_(capacity)
        , cells_(new std::atomic<Cell*>[capacity] {})
    {}
    ~series()
    {
        for (std::size_t i = 0; i < capacity_; ++i) delete cells_[i].load(std::memory_order_relaxed);
    }

    // The writer's.
    Cell& at(std::size_t i)
    {
        auto* c = cells_[i].load(std::memory_order_relaxed);
        if (!c) {
            c = new Cell;
            cells_[i].store(c, std::memory_order_release);
        }
        return *c;
    }
    // Null when there is nothing yet.
    const Cell* find(std::size_t i) const noexcept { return cells_[i].load(std::memory_order_acquire); }

private:
    const std::size_t capacity_;
    std::unique_ptr<std::atomic<Cell*>[]> cells_;
};

} // namespace pgcoro::detail
