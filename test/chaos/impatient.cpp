#include "impatient.hpp"

#include <utility>

namespace chaos
{

using namespace std::chrono_literals;

pgcoro::connection_options impatient(const std::string& uri, const std::string& application)
{
    auto o = pgcoro::connection_options::from_uri(uri);
    o.application_name = application;
    o.connect_timeout = 2s;
    o.statement_timeout = 2s;
    o.response_grace = 500ms;
    o.lock_timeout = 1s;
    o.idle_in_transaction_session_timeout = 5s;
    return o;
}

pgcoro::cluster_options impatient_cluster(pgcoro::connection_options to,
                                          std::chrono::milliseconds failover_timeout)
{
    pgcoro::cluster_options o;
    o.pool.name = to.application_name;
    o.pool.connection = std::move(to);
    o.pool.size = 8;
    o.pool.max_overflow = 8;
    o.pool.acquire_timeout = 5s;
    o.pool.cleanup_timeout = 2s;
    o.check_interval = 100ms;
    o.recheck_interval = 50ms;
    o.check_timeout = 1s;
    o.failover_timeout = failover_timeout;
    o.drain_timeout = 2s;
    return o;
}

} // namespace chaos
