// The answers' JSON, of figures that are there. Seconds, and shares from 0 to 1, where a name says nothing
// else.
#pragma once

#include "monitor/request.hpp"

#include <pgcoro/monitor/monitor.hpp>

#include <boost/describe/class.hpp>
#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace pgcoro::detail
{

// A table that has to be there.
struct needed_table
{
    std::string name;
    bool exists = false;
    std::int64_t rows = 0; // estimated; -1 as long as it was never analyzed
};
BOOST_DESCRIBE_STRUCT(needed_table, (), (name, exists, rows))

boost::json::object database_metrics_json(const metrics_snapshot& m);
boost::json::object connections_json(const metrics_snapshot& m, const sampler* s);
boost::json::object cache_json(const query_cache* c);
boost::json::object transactions_json(const metrics_snapshot& m);
boost::json::object alerts_json(const alerts* a);
boost::json::object history_json(const history* h, const api_call& c, double now);
boost::json::object health_json(const health_check* checked, const health_report& r);
boost::json::object health_detailed_json(const metrics_snapshot& m, const health_check* checked,
                                         const std::vector<needed_table>& tables, const health_report& r);
// All that the page shows but the history.
boost::json::object dashboard_json(const monitor_sources& of, const metrics_snapshot& m,
                                   const health_report& r);

} // namespace pgcoro::detail
