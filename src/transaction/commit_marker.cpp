#include <pgcoro/transaction/commit_marker.hpp>

#include <stdexcept>
#include <string>

namespace pgcoro
{

namespace asio = boost::asio;

namespace
{

// In one transaction. Two callers at once wait for each other's lock. A marker's age counts from COMMIT: the transaction may
// have begun long before.
constexpr std::string_view create_script =
    "select pg_catalog.pg_advisory_xact_lock(8101233094872); "
    "create schema if not exists pgcoro; "
    "create table if not exists pgcoro.commit_marker ("
    "key pg_catalog.uuid primary key, "
    "at pg_catalog.timestamptz not null default pg_catalog.clock_timestamp(), "
    "blocks pg_catalog.bool not null default false); "
    "grant usage on schema pgcoro to public; "
    "grant select, insert on pgcoro.commit_marker to public";

constexpr std::string_view remove_statement =
    "delete from pgcoro.commit_marker where key in (select key from pgcoro.commit_marker "
    "where at < pg_catalog.now() - $1::pg_catalog.float8 * interval '1 minute' limit $2)";

asio::awaitable<std::uint64_t> remove_batches(pool& p, std::chrono::minutes age,
                                              std::uint32_t batch)
{
    std::uint64_t removed = 0;
    for (;;) {
        auto args = params::of(static_cast<double>(age.count()), static_cast<std::int64_t>(batch));
        auto got = co_await p.run(remove_statement, std::move(args));
        removed += got.affected_rows();
        if (got.affected_rows() < batch) co_return removed;
    }
}

} // namespace

asio::awaitable<void> create_commit_markers(pool& p)
{
    auto held = co_await p.acquire();
    co_await held->execute_script(create_script);
}

asio::awaitable<std::uint64_t> remove_commit_markers(pool& p, std::chrono::minutes age, std::uint32_t batch)
{
    if (age < std::chrono::minutes(10))
        throw std::invalid_argument("pgcoro: the age of markers to be removed is " + std::to_string(age.count()) +
                                    " min and must be 10 min or more: they may still be asked for");
    if (batch == 0) throw std::invalid_argument("pgcoro: a batch of markers to be removed is 0 rows and must be 1 or more");
    return remove_batches(p, age, batch);
}

} // namespace pgcoro
