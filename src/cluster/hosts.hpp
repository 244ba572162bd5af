// The hosts that a cluster's options name, one by one.
#pragma once

#include <pgcoro/cluster/options.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgcoro::detail
{

using named_host = std::pair<std::string, connection_options>; // "host:port", and how to connect to it

// Throws std::invalid_argument, connection_error.
std::vector<named_host> hosts_of(const cluster_options& options);
// One written as in `cluster_options::hosts`.
named_host host_named(const cluster_options& options, std::string_view text);

} // namespace pgcoro::detail
