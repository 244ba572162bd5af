#include <pgcoro/cache/options.hpp>

#include <stdexcept>
#include <string>

namespace pgcoro
{

namespace
{

void require(bool right, const char* name, const std::string& value, const char* rule)
{
    if (!right)
        throw std::invalid_argument("cache_options." + std::string(name) + " is " + value + " and must be " +
                                    rule);
}

void positive(const char* name, std::chrono::milliseconds t)
{
    require(t.count() > 0, name, std::to_string(t.count()) + " ms", "1 ms or more");
}

void factor(const char* name, double f)
{
    require(f > 0 && f <= 1'000, name, std::to_string(f), "more than 0 and at most 1000");
}

} // namespace

void cache_options::validate() const
{
    require(max_bytes >= 4'096, "max_bytes", std::to_string(max_bytes), "4096 or more");
    require(max_entries > 0, "max_entries", std::to_string(max_entries), "1 or more");
    require(max_statements > 0, "max_statements", std::to_string(max_statements), "1 or more");
    require(max_entry_bytes <= max_bytes, "max_entry_bytes", std::to_string(max_entry_bytes),
            "max_bytes or less");
    require(min_cost.count() >= 0, "min_cost", std::to_string(min_cost.count()) + " us", "0 us or more");
    positive("ttl", ttl);
    positive("adaptive.base", adaptive.base);
    positive("adaptive.slow_after", adaptive.slow_after);
    positive("adaptive.changing_at_most", adaptive.changing_at_most);
    positive("adaptive.at_least", adaptive.at_least);
    positive("empty_at_most", empty_at_most);
    positive("statement_ttl", statement_ttl);
    factor("adaptive.frequent_factor", adaptive.frequent_factor);
    factor("adaptive.slow_factor", adaptive.slow_factor);
    require(refresh_ahead >= 0 && refresh_ahead < 1, "refresh_ahead", std::to_string(refresh_ahead),
            "0 or more and less than 1");
    require(time, "time", "null", "a time source");
}

} // namespace pgcoro
