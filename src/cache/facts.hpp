// What is known of a statement, by its text and the catalog.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
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
    std::vector<std::string> settings;           // that it reads, and that have a value only if the caller sets them
    bool changing = false;                       // as time goes by
    std::uint64_t catalog = 0;                   // the version of the catalog it was read from
    std::chrono::steady_clock::time_point until; // believed
    mutable std::atomic<std::uint64_t> seen{0};
};

// The same facts, with a result that changes as time goes by.
inline std::shared_ptr<const statement_facts> as_changing(const statement_facts& facts)
{
    auto made = std::make_shared<statement_facts>();
    made->may = facts.may;
    made->why = facts.why;
    made->reads = facts.reads;
    made->settings = facts.settings;
    made->changing = true;
    made->catalog = facts.catalog;
    made->until = facts.until;
    made->seen = facts.seen.load();
    return made;
}

} // namespace pgcoro::detail
