#include "world.hpp"

#include <stdexcept>

namespace chaos
{

using namespace std::chrono_literals;

namespace
{

// Little WAL is kept, so that its disk can be small; few connections, so that they can be used up.
pgcoro::testing::server_options settings(const wall_clock& clock)
{
    pgcoro::testing::server_options o;
    o.bin_dir = clock.programs();
    o.settings = {{"max_connections", "60"},
                  {"max_wal_size", "48MB"},
                  {"min_wal_size", "32MB"},
                  {"wal_keep_size", "32MB"}};
    return o;
}

pgcoro::testing::server_options following(const wall_clock& clock, const pgcoro::testing::server& primary)
{
    auto o = settings(clock);
    o.replica_of = &primary;
    return o;
}

} // namespace

world::world(std::uint32_t seed)
    : first_("first.test", settings(clock_), weather_, seed)
    , second_("second.test", following(clock_, first_.server()), weather_, seed + 10)
{}

pgcoro::testing::server_options world::replica_options() { return following(clock_, primary().server()); }

pgcoro::connection_options world::connecting()
{
    auto o = pgcoro::connection_options::from_uri("postgresql://postgres@" + first_.address() + "," +
                                                  second_.address() +
                                                  "/postgres?sslmode=disable&gssencmode=disable");
    o.application_name = application;
    o.connect_timeout = 2s;
    o.statement_timeout = 2s;
    o.response_grace = 500ms;
    o.lock_timeout = 1s;
    o.idle_in_transaction_session_timeout = 5s;
    return o;
}

pgcoro::connection_options world::writable()
{
    auto o = connecting();
    o.parameters["target_session_attrs"] = "read-write";
    return o;
}

pgcoro::cluster_options world::cluster_options()
{
    pgcoro::cluster_options o;
    o.pool.connection = connecting();
    o.pool.name = application;
    o.pool.size = 8;
    o.pool.max_overflow = 8;
    o.pool.acquire_timeout = 5s;
    o.pool.cleanup_timeout = 2s;
    o.check_interval = 100ms;
    o.recheck_interval = 50ms;
    o.check_timeout = 1s;
    o.failover_timeout = 10s;
    o.drain_timeout = 2s;
    return o;
}

std::size_t world::sessions()
{
    std::size_t all = 0;
    for (auto* h : {&first_, &second_})
        all += std::stoul(
            h->server().psql("select count(*) from pg_stat_activity where application_name like '" +
                             std::string(application) + "%'"));
    return all;
}

} // namespace chaos
