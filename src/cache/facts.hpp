// What is known of a statement, by its text and the catalog.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace pgcoro::detail
{

struct statement_facts
{
    enum class verdict {
        cacheable,
        with_tags, // only if the caller names tags: it reads what no table of its own stands for
        never,
    };
    verdict may = verdict::never;
    std::string why;                             // not; for who asks
    std::vector<std::string> reads;              // tags, "schema.table", of what changes its result
    bool changing = false;                       // by time functions, or volatile ones that change nothing
    std::chrono::steady_clock::time_point until; // believed
    mutable std::atomic<std::uint64_t> seen{0};
};

} // namespace pgcoro::detail
