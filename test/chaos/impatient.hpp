/// What a load is run with: so little patience that a fault is noticed while it lasts.
#pragma once

#include <pgcoro/cluster/options.hpp>
#include <pgcoro/connection/options.hpp>

#include <chrono>
#include <string>

namespace chaos
{

pgcoro::connection_options impatient(const std::string& uri, const std::string& application);

/// A write waits so long for a primary.
pgcoro::cluster_options impatient_cluster(pgcoro::connection_options to,
                                          std::chrono::milliseconds failover_timeout);

} // namespace chaos
