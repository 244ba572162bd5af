#include <pgcoro/connection/json.hpp>

namespace pgcoro
{

boost::json::object to_json(const row& r)
{
    column_list columns;
    for (std::size_t i = 0; i < r.size(); ++i) columns.push_back({r[i].name(), r[i].type()});
    return to_json(columns, [&](std::size_t i) { return r[i].view(); });
}

boost::json::array to_json(const result& r)
{
    boost::json::array all;
    all.reserve(r.size());
    for (auto each : r) all.push_back(to_json(each));
    return all;
}

} // namespace pgcoro
