#include "world.hpp"

#include "impatient.hpp"

#include <stdexcept>

namespace chaos
{

using namespace std::chrono_literals;

namespace
{

// Little WAL is kept, so that its disk can be small, but more than a fault makes before the replica has it:
// it could never follow again. Few connections, so that they can be used up.
pgcoro::testing::server_options settings(const wall_clock& clock)
{
    pgcoro::testing::server_options o;
    o.bin_dir = clock.programs();
    o.settings = {{"max_connections", "60"},
                  {"max_wal_size", "48MB"},
                  {"min_wal_size", "32MB"},
                  {"wal_keep_size", "96MB"}};
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
    return impatient("postgresql://postgres:" + first_.server().password() + "@" + first_.address() + "," +
                         second_.address() + "/postgres?sslmode=disable&gssencmode=disable",
                     application);
}

pgcoro::connection_options world::writable()
{
    auto o = connecting();
    o.parameters["target_session_attrs"] = "read-write";
    return o;
}

pgcoro::cluster_options world::cluster_options() { return impatient_cluster(connecting(), 10s); }

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
