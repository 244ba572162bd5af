#include "cache/moment.hpp"

#include "cluster/position.hpp"

#include <pgcoro/types/types.hpp>

#include <algorithm>
#include <charconv>

namespace pgcoro::detail
{

namespace
{

bool take(std::string_view& text, std::uint64_t& into)
{
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (failed != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take(std::string_view& text, char mark)
{
    if (text.empty() || text.front() != mark) return false;
    text.remove_prefix(1);
    return true;
}

} // namespace

// The snapshot of a statement is taken before its functions are called: the position comes after it. What is
// visible has its commit in the log, so it is before the position. Times are of the server's clock, one for
// all processes.
const char* const moment_statement = R"(
select pg_catalog.pg_current_snapshot()::pg_catalog.text,
    (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::pg_catalog.int8,
    (extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::pg_catalog.int8 || '/' ||
        (select system_identifier from pg_catalog.pg_control_system()) || '/' ||
        pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) || '/' ||
        (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()),
    (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8)";

bool over_by::includes(const over_by& other) const
{
    if (xmax < other.xmax) return false;
    return std::all_of(running.begin(), running.end(), [&](std::uint64_t id) {
        return id >= other.xmax || std::binary_search(other.running.begin(), other.running.end(), id);
    });
}

bool over_by::parse(std::string_view text, over_by& into)
{
    over_by read;
    if (!take(text, read.xmin) || !take(text, ':') || !take(text, read.xmax) || !take(text, ':'))
        return false;
    while (!text.empty()) {
        if (!read.running.empty() && !take(text, ',')) return false;
        if (!take(text, read.running.emplace_back())) return false;
    }
    if (read.xmin > read.xmax || !std::is_sorted(read.running.begin(), read.running.end())) return false;
    into = std::move(read);
    return true;
}

moment moment_from(const result& answer, std::chrono::steady_clock::time_point asked)
{
    using columns = std::tuple<std::string, std::int64_t, std::string, std::int64_t>;
    auto [over, position, origin, time] = answer.as_value<columns>();
    moment m;
    if (!over_by::parse(over, m.over))
        throw mapping_error("pg_current_snapshot gave '" + over + "', which is not xmin:xmax:running");
    m.position = commit_token(end_of_record(static_cast<std::uint64_t>(position)));
    m.origin = std::move(origin);
    m.server_time = std::chrono::microseconds(time);
    m.asked = asked;
    return m;
}

} // namespace pgcoro::detail
