#include "environment.hpp"

#include <system_error>

namespace bench
{

namespace
{

void use(const cpu_set_t& cores)
{
    if (::sched_setaffinity(0, sizeof cores, &cores) != 0)
        throw std::system_error(errno, std::system_category(), "choosing the cores to run on");
}

cpu_set_t cores_in_use()
{
    cpu_set_t cores;
    if (::sched_getaffinity(0, sizeof cores, &cores) != 0)
        throw std::system_error(errno, std::system_category(), "asking for the cores to run on");
    return cores;
}

// The n-th of the cores that may be used.
cpu_set_t only(const cpu_set_t& of, int n)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(core, &of) && n-- == 0) CPU_SET(core, &one);
    return one;
}

pgcoro::testing::server start(const cpu_set_t& all)
{
    pgcoro::testing::server_options options;
    options.settings["max_connections"] = "800";
    options.settings["shared_buffers"] = "128MB";
    options.settings["autovacuum"] = "off"; // it would run in one run and not in the next
    if (CPU_COUNT(&all) < 2) return pgcoro::testing::server(std::move(options));
    on_cores servers(only(all, 1)); // inherited by all that the server starts
    return pgcoro::testing::server(std::move(options));
}

} // namespace

on_cores::on_cores(const cpu_set_t& cores)
    : before_(cores_in_use())
{
    use(cores);
}

on_cores::~on_cores() { ::sched_setaffinity(0, sizeof before_, &before_); }

environment::environment()
    : all_(cores_in_use())
    , server_(start(all_))
{
    server_.psql(
        "create table account(id bigint primary key, owner text not null, cents bigint not null, "
        "rate double precision not null) with (fillfactor = 50);"
        "insert into account select n, 'owner number ' || n, n * 100, n / 7.0 from generate_series(1, " +
        std::to_string(accounts) +
        ") n;"
        "vacuum analyze account;"
        "checkpoint");
    pinned_ = CPU_COUNT(&all_) >= 2;
    if (pinned_) use(only(all_, 0));
}

pgcoro::pool_options environment::pool(std::size_t size) const
{
    pgcoro::pool_options options;
    options.connection = pgcoro::connection_options::from_uri(uri());
    options.name = "bench";
    options.size = size;
    options.max_overflow = 0;
    options.acquire_timeout = std::chrono::minutes(5);
    return options;
}

} // namespace bench
